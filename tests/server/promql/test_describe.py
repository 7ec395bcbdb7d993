"""Nodes of a plan in a few words."""

from __future__ import annotations

import pytest

from mirante.server.promql.describe import described
from mirante.server.promql.parse import parse


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("x", "x"),
        ('{a="b"}', '{a="b"}'),
        ('{__name__=~"x.*"}', '{__name__=~"x.*"}'),
        ("x @ 12.5 offset -1m", "x offset -60s @ 12.500"),
        ("x[5m]", "x[300s]"),
        ("x[1h:5m]", "(...)[3600s:]"),
        ("rate(x[5m])", "rate(...)"),
        ("sum without (a) (x)", "sum without (a)"),
        ("sum(x)", "sum"),
        ("a + b", "+"),
        ("a + ignoring (c) b", "+ ignoring (c)"),
        ("-x", "-"),
        ("1.5", "1.5"),
        ('"text"', '"text"'),
    ],
)
def test_every_kind_of_node_has_its_words(expression: str, words: str) -> None:
    """Without what is inside it."""
    assert described(parse(expression)) == words
