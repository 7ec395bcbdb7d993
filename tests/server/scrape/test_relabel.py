"""Relabeling does what the table of Prometheus's documentation says, action by action."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirante.server.scrape.relabel import RelabelRule, compile_regex, expand, relabel

LABELS = {"a": "foo", "b": "bar", "c": "baz"}


def rule(**fields: Any) -> RelabelRule:
    """A rule whose regular expression is given as text."""
    if "regex" in fields:
        fields["regex"] = compile_regex(fields["regex"])
    if "source_labels" in fields:
        fields["source_labels"] = tuple(fields["source_labels"])
    return RelabelRule(**fields)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"source_labels": "a", "regex": "f(.+)", "target_label": "b", "replacement": "$1"}, {**LABELS, "b": "oo"}),
        ({"source_labels": "ab", "regex": "foo;(.*)", "target_label": "a"}, {**LABELS, "a": "bar"}),
        ({"source_labels": "ab", "separator": "-", "target_label": "d"}, {**LABELS, "d": "foo-bar"}),
        ({"source_labels": "a", "regex": "o", "target_label": "d"}, LABELS),
        ({"source_labels": "a", "regex": "x*", "target_label": "b"}, LABELS),
        ({"target_label": "d", "replacement": "constant"}, {**LABELS, "d": "constant"}),
        ({"source_labels": "a", "regex": ".*", "target_label": "b", "replacement": ""}, {"a": "foo", "c": "baz"}),
        ({"source_labels": "a", "regex": "(f)(.*)", "target_label": "$1", "replacement": "$2"}, {**LABELS, "f": "oo"}),
        ({"source_labels": "a", "regex": "(x)?foo", "target_label": "$1"}, LABELS),
        ({"action": "keep", "source_labels": "a", "regex": "fo+"}, LABELS),
        ({"action": "keep", "source_labels": "a", "regex": "f"}, None),
        ({"action": "drop", "source_labels": "a", "regex": "fo+"}, None),
        ({"action": "drop", "source_labels": "a", "regex": "f"}, LABELS),
        ({"action": "keepequal", "source_labels": "a", "target_label": "b"}, None),
        ({"action": "keepequal", "source_labels": "z", "target_label": "y"}, LABELS),
        ({"action": "dropequal", "source_labels": "a", "target_label": "a"}, None),
        ({"action": "dropequal", "source_labels": "a", "target_label": "b"}, LABELS),
        ({"action": "hashmod", "source_labels": "c", "target_label": "d", "modulus": 1000}, {**LABELS, "d": "976"}),
        ({"action": "labelmap", "regex": "(a|b)", "replacement": "x_$1"}, {**LABELS, "x_a": "foo", "x_b": "bar"}),
        ({"action": "labeldrop", "regex": "a|b"}, {"c": "baz"}),
        ({"action": "labelkeep", "regex": "a|b"}, {"a": "foo", "b": "bar"}),
        ({"action": "uppercase", "source_labels": "ab", "target_label": "d"}, {**LABELS, "d": "FOO;BAR"}),
        ({"action": "lowercase", "source_labels": "a", "target_label": "a"}, LABELS),
    ],
)  # fmt: skip
def test_each_action(fields: dict[str, Any], expected: dict[str, str] | None) -> None:
    """The rule applied to a=foo, b=bar, c=baz."""
    assert relabel(LABELS, [rule(**fields)]) == expected


def test_rules_apply_in_order() -> None:
    """A later rule sees what an earlier one wrote; nothing after a drop is looked at."""
    rules = [rule(source_labels="a", target_label="d"), rule(action="drop", source_labels="d", regex="foo")]
    assert relabel(LABELS, rules) is None
    assert relabel({"a": "bar"}, rules) == {"a": "bar", "d": "bar"}


@pytest.mark.parametrize(
    ("template", "expected"),
    [("$1", "x"), ("${1}y", "xy"), ("$1y", ""), ("$name", "z"), ("$$1", "$1"), ("$", "$"), ("${9}", ""), ("$2", "")],
)
def test_templates_expand_as_in_go(template: str, expected: str) -> None:
    """The longest name counts, unknown and unmatched groups are empty, two dollars are one."""
    found = compile_regex("(x)(y)?(?P<name>z)").fullmatch("xz")
    assert found is not None
    assert expand(template, found) == expected


def test_regular_expressions_are_anchored_and_mean_ascii() -> None:
    """As in RE2, a dot takes a line end and the class of digits no others."""
    assert compile_regex("a.b").fullmatch("a\nb")
    assert not compile_regex(r"\d").fullmatch("٣")
    with pytest.raises(ValueError, match=r'regular expression "\\pL" cannot be used'):
        compile_regex(r"\pL")


@pytest.mark.parametrize(
    ("regex", "text", "matches"),
    [
        ("[[:alpha:]]+", "abC", True),
        ("[[:alpha:]]+", "ab1", False),
        ("[^[:digit:]_]+", "ab", True),
        ("[^[:digit:]_]+", "a_", False),
        ("[[:upper:][:digit:].]{3}", "A1.", True),
        ("[[:punct:]]", "]", True),
        ("[:a:]+", ":a", True),
    ],
)
def test_classes_of_posix_mean_what_they_mean_in_go(regex: str, text: str, matches: bool) -> None:
    """Python would take their letters one by one."""
    assert (compile_regex(regex).fullmatch(text) is not None) == matches


def test_an_unknown_class_is_told() -> None:
    """By its name."""
    with pytest.raises(ValueError, match=r"\[:nonsense:\] is no class known here"):
        compile_regex("[[:nonsense:]]")


@given(st.dictionaries(st.text(min_size=1), st.text(min_size=1)))
def test_no_rules_change_nothing(labels: dict[str, str]) -> None:
    """Any label set comes back as it is."""
    assert relabel(labels, []) == labels
