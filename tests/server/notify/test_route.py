"""Alerts take the routes, and fall in the groups, that Alertmanager's documentation says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirante.server.notify.model import Matcher, MatchType, Route
from mirante.server.notify.route import RoutingTree, find_routes, group_key, group_labels

NAMES = st.sampled_from(["team", "severity", "job"])
VALUES = st.sampled_from(["", "a", "b", "critical"])
LABELS = st.dictionaries(NAMES, VALUES.filter(bool))
MATCHERS = st.builds(Matcher, NAMES, st.sampled_from(["=", "!="]), VALUES)


def matcher(text: str) -> Matcher:
    """``name=value`` or ``name!=value``."""
    kind: MatchType = "!=" if "!=" in text else "="
    name, _, value = text.partition(kind)
    return Matcher(name, kind, value)


def route(receiver: str, *children: Route, when: str = "", continues: bool = False) -> Route:
    """A route with the matchers of ``when``, separated by commas."""
    matchers = tuple(matcher(text) for text in when.split(",") if text)
    return Route(receiver, matchers, children=children, continues=continues)


TREE = route(
    "root",
    route("audit", when="audited=yes", continues=True),
    route("team-a", route("team-a-critical", when="severity=critical"), when="team=a"),
    route("team-a-too", when="team=a"),
    route("others", when="team!="),
)


@pytest.mark.parametrize(
    ("labels", "receivers"),
    [
        ({}, ["root"]),
        ({"team": "a"}, ["team-a"]),
        ({"team": "a", "severity": "critical"}, ["team-a-critical"]),
        ({"team": "b"}, ["others"]),
        ({"audited": "yes"}, ["audit"]),
        ({"audited": "yes", "team": "a"}, ["audit", "team-a"]),
    ],
)
def test_the_first_child_that_matches_takes_the_alert_unless_it_continues(
    labels: dict[str, str], receivers: list[str]
) -> None:
    """Deepest match counts, siblings after one that continues are tried too, and without one it is the parent's."""
    assert [found.receiver for found, _ in find_routes(TREE, labels)] == receivers


def test_an_alert_that_a_node_does_not_match_takes_none_of_its_routes() -> None:
    """Below a node that does not match nothing is tried."""
    assert find_routes(TREE.children[1], {"severity": "critical"}) == []


def routes() -> st.SearchStrategy[Route]:
    """Trees without conditions at their root."""
    leaf = st.builds(Route, st.just("x"), st.tuples() | st.tuples(MATCHERS), continues=st.booleans())
    return st.recursive(
        leaf,
        lambda below: st.builds(
            Route,
            st.just("x"),
            st.tuples() | st.tuples(MATCHERS, MATCHERS),
            continues=st.booleans(),
            children=st.lists(below, max_size=3).map(tuple),
        ),
        max_leaves=8,
    )


@given(routes(), LABELS)
def test_every_route_that_is_found_matches_from_the_root_down(tree: Route, labels: dict[str, str]) -> None:
    """All matchers of a found route and of those above it hold, and none of its children matches."""
    above: dict[str, list[Matcher]] = {}

    def note(node: RoutingTree, inherited: list[Matcher]) -> None:
        above[node.id] = [*inherited, *node.route.matchers]
        for child in node.children:
            note(child, above[node.id])

    whole = RoutingTree(tree)
    note(whole, [])
    found = whole.find(labels)
    assert len(above) == len(list(whole.walk())), "two routes have one identity"
    assert bool(found) is all(one.matches(labels) for one in tree.matchers)
    for node in found:
        assert all(one.matches(labels) for one in above[node.id])
        assert not any(all(one.matches(labels) for one in child.route.matchers) for child in node.children)


def test_keys_are_those_of_alertmanager() -> None:
    """Matchers are sorted, joined by commas, nodes by slashes; a group's labels by comma and space."""
    tree = route("root", route("team", when="team=a,severity!=info"))
    [(found, key)] = find_routes(tree, {"team": "a"})
    assert key == '{}/{severity!="info",team="a"}'
    assert group_key(key, {"b": "2", "a": "1"}) == key + ':{a="1", b="2"}'
    assert group_key("{}", {}) == "{}:{}"
    assert found.receiver == "team"


def test_labels_of_a_group_are_quoted_as_go_does() -> None:
    """Backslashes, quotes, control characters and what cannot be printed; other letters stay."""
    assert group_key("{}", {"a": 'é"\\\n\x01\u200b\U000e0001'}) == r'{}:{a="é\"\\\n\x01\u200b\U000e0001"}'


def test_an_alert_is_grouped_by_the_labels_that_it_has() -> None:
    """A label that an alert does not have is not among its group's; ``...`` groups by all."""
    assert group_labels(Route("x", group_by=("job", "instance")), {"job": "api", "team": "a"}) == {"job": "api"}
    assert group_labels(Route("x", group_by_all=True), {"job": "api", "team": "a"}) == {"job": "api", "team": "a"}
