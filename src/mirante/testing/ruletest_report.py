"""What unit tests of rules found, as text for people and as JUnit's XML for machines."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree as ET

from mirante.testing.ruletest_run import Failure, TestResult


class FileResult(NamedTuple):
    """What became of a file of tests.

    Attributes:
        path: of the file.
        results: of its tests; empty where it could not be used.
        error: why not.
    """

    path: Path
    results: Sequence[TestResult] = ()
    error: str = ""

    @property
    def passed(self) -> bool:
        """Whether nothing failed."""
        return not self.error and not any(result.failures for result in self.results)


def shown_failure(failure: Failure, *, diff: bool = False) -> list[str]:
    """A failure in lines.

    Args:
        failure: what was found.
        diff: show what differs instead of both sides.

    Example:
        >>> shown_failure(Failure("expr: up", ["up 1"], []))
        ['expr: up', '    exp: up 1', '    got: nothing']
    """
    if failure.error:
        return [f"{failure.about}, err: {failure.error}"]
    if diff:
        lines = difflib.ndiff(list(failure.expected), list(failure.got))
        return [failure.about, *(f"    {line.rstrip()}" for line in lines if not line.startswith("?"))]
    sides = (("exp", failure.expected), ("got", failure.got))
    return [failure.about, *(f"    {side}: {line}" for side, lines in sides for line in (lines or ["nothing"]))]


def write_junit(path: Path, files: Iterable[FileResult]) -> None:
    """Write JUnit's XML: a suite for every file, a case for every test.

    Raises:
        OSError: the file cannot be written.
    """
    root = ET.Element("testsuites")
    for file in files:
        failed = sum(bool(result.failures) for result in file.results)
        counts = {"tests": str(len(file.results)), "failures": str(failed), "errors": str(int(bool(file.error)))}
        suite = ET.SubElement(root, "testsuite", {"name": str(file.path), **counts})
        if file.error:
            case = ET.SubElement(suite, "testcase", name="file")
            ET.SubElement(case, "error", message=printable(file.error))
        for result in file.results:
            case = ET.SubElement(suite, "testcase", name=printable(result.name))
            for failure in result.failures:
                text = "\n".join(shown_failure(failure))
                ET.SubElement(case, "failure", message=printable(failure.about)).text = printable(text)
    ET.indent(root)
    path.write_bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n")


def printable(text: str) -> str:
    """The text without characters that XML does not allow."""
    return "".join(char if char in "\n\t" or char.isprintable() else "?" for char in text)
