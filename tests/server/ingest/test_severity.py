"""How bad a log record is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirante.server.ingest.severity import UNKNOWN, Severity, named, of_fields, of_line


@pytest.mark.parametrize(
    ("level", "number"),
    [("trace", 1), ("DEBUG", 5), ("Info", 9), ("notice", 10), ("warning", 13), ("err", 17), ("fatal", 21), ("7", 0)],
)
def test_names(level: str, number: int) -> None:
    """A level has its number whatever its case, and keeps the sender's word."""
    assert named(level) == Severity(number, level)


def test_fields() -> None:
    """The first known field with a text counts, in any of the usual spellings."""
    assert of_fields({"SEVERITY": "warn", "Level": "error"}) == Severity(17, "error")
    assert of_fields({"level": 30, "lvl": "", "severity": "info"}) == Severity(9, "info")
    assert of_fields({"SeverityText": "err"}) == Severity(17, "err")
    assert of_fields({"message": "error"}) == UNKNOWN


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"severity":"ERROR","level":"warn"}', Severity(13, "warn")),
        ('{"level":"warn"', UNKNOWN),
        ("[1]", UNKNOWN),
        ('{"a":1}', UNKNOWN),
        ('at=1 level=error msg="INFO"', Severity(17, "error")),
        ('lvl="Warn"', Severity(13, "Warn")),
        ("2026-01-01 INFO started", Severity(9, "INFO")),
        ("[warn] low", Severity(13, "warn")),
        ("error: none", Severity(17, "error")),
        ("no error was found, for your information", UNKNOWN),
        ("Error in prose, then ERROR", Severity(17, "ERROR")),
        ("x" * 300 + " ERROR", UNKNOWN),
        ("", UNKNOWN),
    ],
)
def test_lines(line: str, expected: Severity) -> None:
    """A line tells its level as JSON, as a pair, or by a word that stands out at its beginning; prose tells nothing."""
    assert of_line(line) == expected


@given(st.text())
def test_any_line_is_borne(line: str) -> None:
    """Whatever a line says, it has a severity of OpenTelemetry's."""
    assert of_line(line).number in {0, 1, 5, 9, 10, 13, 17, 19, 21}
