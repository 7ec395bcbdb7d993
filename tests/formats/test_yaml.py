"""YAML as it is written: read back, it is the same."""

from __future__ import annotations

import math

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mirante.formats.yaml import write_yaml

TEXTS = st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(
    ["yes", "1:30", "~", "=", "<<", "0x1", "1e3"]
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=12
)


@given(st.dictionaries(TEXTS, VALUES, max_size=4) | st.lists(VALUES, max_size=4))
def test_what_is_written_is_read_back(document: object) -> None:
    """By PyYAML, whatever stands in it."""
    assert yaml.safe_load(write_yaml(document)) == document  # type: ignore[arg-type] # either of the two


def test_large_numbers_are_numbers() -> None:
    """YAML 1.1 takes ``1e+16`` for text, as it has no point."""
    assert yaml.safe_load(write_yaml([1e16, -1.5e-7, math.inf])) == [1e16, -1.5e-7, math.inf]


def test_not_a_number_is_one() -> None:
    """It equals nothing, so that it has a test of its own."""
    assert math.isnan(yaml.safe_load(write_yaml([math.nan]))[0])


@pytest.mark.parametrize(
    ("document", "told"), [([object()], "object cannot be written"), ({1: 2}, "a key must be text")]
)
def test_anything_else_is_refused(document: object, told: str) -> None:
    """Rather than guessed at."""
    with pytest.raises(TypeError, match=told):
        write_yaml(document)  # type: ignore[arg-type] # what the test is about
