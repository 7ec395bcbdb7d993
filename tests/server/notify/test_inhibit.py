"""An alert silences those that follow from it, as Alertmanager's rules say."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mirante.server.alert import Alert, fingerprint
from mirante.server.notify.inhibit import Inhibitor
from mirante.server.notify.known import Known
from mirante.server.notify.matchers import parse_matchers
from mirante.server.notify.model import InhibitRule

NOW = 1000
RULE = InhibitRule(parse_matchers("severity=critical"), parse_matchers('severity=~"warning|info"'), ("zone",))
BOTH = InhibitRule(parse_matchers('severity=~".+"'), parse_matchers('severity=~".+"'))
LABELS = st.dictionaries(
    st.sampled_from(["severity", "zone", "job"]), st.sampled_from(["critical", "warning", "a", "b"])
)
RULES = st.builds(
    InhibitRule,
    st.sampled_from([RULE.source, RULE.target, BOTH.source]),
    st.sampled_from([RULE.source, RULE.target, BOTH.source]),
    st.sets(st.sampled_from(["zone", "job"])).map(tuple),
)


def known(labels: dict[str, str], ends_at: int = 2 * NOW) -> Known:
    """An alert with these labels."""
    return Known(fingerprint(labels), Alert(labels, {}, 0, ends_at, 0))


def test_labels_that_must_be_equal_count_as_empty_where_they_are_missing() -> None:
    """On both sides."""
    source = known({"severity": "critical"})
    inhibitor = Inhibitor([RULE], [source])
    assert inhibitor.inhibiting({"severity": "warning"}, NOW) == [source.id]
    assert inhibitor.inhibiting({"severity": "warning", "zone": ""}, NOW) == [source.id]
    assert inhibitor.inhibiting({"severity": "warning", "zone": "a"}, NOW) == []


def test_an_alert_that_has_ended_inhibits_nothing() -> None:
    """Neither after its end has come nor after it was removed."""
    source = known({"severity": "critical"})
    inhibitor = Inhibitor([RULE], [source])
    assert inhibitor.inhibiting({"severity": "info"}, source.alert.ends_at) == []
    inhibitor.remove(source)
    inhibitor.remove(source)
    assert inhibitor.inhibiting({"severity": "info"}, NOW) == []


def test_an_alert_on_both_sides_does_not_inhibit_itself() -> None:
    """Nor another one that is on both sides; one that is only a target it does."""
    source = known({"severity": "critical"})
    assert Inhibitor([BOTH], [source]).inhibiting({"severity": "warning"}, NOW) == []
    rule = InhibitRule(parse_matchers("severity=critical"), parse_matchers('severity=~".+"'))
    inhibitor = Inhibitor([rule], [source])
    assert inhibitor.inhibiting({"severity": "critical"}, NOW) == []
    assert inhibitor.inhibiting({"severity": "warning"}, NOW) == [source.id]


def plainly(rules: list[InhibitRule], alerts: list[Known], labels: dict[str, str]) -> bool:
    """The definition, without an index."""

    def holds(matchers: object, of: object) -> bool:
        return all(matcher.matches(of) for matcher in matchers)  # type: ignore[attr-defined]

    return any(
        holds(rule.target, labels)
        and holds(rule.source, one.alert.labels)
        and not one.alert.resolved(NOW)
        and all(one.alert.labels.get(name, "") == labels.get(name, "") for name in rule.equal)
        and not (holds(rule.source, labels) and holds(rule.target, one.alert.labels))
        for rule in rules
        for one in alerts
    )


@given(st.lists(RULES, max_size=3), st.lists(st.builds(known, LABELS, st.sampled_from([NOW, 2 * NOW]))), LABELS)
def test_the_index_finds_what_the_definition_finds(
    rules: list[InhibitRule], alerts: list[Known], labels: dict[str, str]
) -> None:
    """Also after half of the alerts were removed again."""
    unique = list({one.id: one for one in alerts}.values())
    inhibitor = Inhibitor(rules, unique)
    assert bool(inhibitor.inhibiting(labels, NOW)) is plainly(rules, unique, labels)
    for one in unique[::2]:
        inhibitor.remove(one)
    assert bool(inhibitor.inhibiting(labels, NOW)) is plainly(rules, unique[1::2], labels)
