"""Functions that change the labels of series.

Source of every rule: Prometheus 3, ``promql/functions.go``. Regular expressions are RE2's, run by Arrow.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mirante.errors import QueryError
from mirante.server.promql.annotations import quoted
from mirante.server.promql.matrix import NAME, Matrix, merged, pending_names
from mirante.server.re2 import GROUP, REFERENCE
from mirante.server.store.api import Labels


def check_label_name(name: str, what: str) -> None:
    """Refuses what is no label name: the empty string, and bytes that are no UTF-8.

    Raises:
        QueryError: with the name.
    """
    try:
        name.encode()
    except UnicodeEncodeError:
        raw = name.encode("utf-8", "surrogateescape")
        shown = "".join(chr(byte) if 32 <= byte < 127 else f"\\x{byte:02x}" for byte in raw)
        raise QueryError(f'{what} "{shown}"') from None
    if not name:
        raise QueryError(f'{what} ""')


def label_replace(matrix: Matrix, target: str, template: str, source: str, pattern: str) -> Matrix:
    """Sets ``target`` from ``source`` where the whole of its value matches ``pattern``."""
    check_label_name(target, "invalid destination label name in label_replace():")
    values = sorted({labels.get(source, "") for labels in matrix.labels})
    replaced = dict(zip(values, _expand(values, template, pattern), strict=True))
    return _relabelled(matrix, target, [replaced[labels.get(source, "")] for labels in matrix.labels])


def label_join(matrix: Matrix, target: str, separator: str, sources: Sequence[str]) -> Matrix:
    """Sets ``target`` to the joined values of other labels."""
    check_label_name(target, "invalid destination label name in label_join():")
    for source in sources:
        check_label_name(source, "invalid source label name in label_join():")
    joined = [separator.join(labels.get(source, "") for source in sources) for labels in matrix.labels]
    return _relabelled(matrix, target, joined)


def _relabelled(matrix: Matrix, target: str, values: Sequence[str | None]) -> Matrix:
    """None leaves a series as it is; the empty string removes the label."""
    labels = [
        row if value is None else _with(row, target, value) for row, value in zip(matrix.labels, values, strict=True)
    ]
    unnamed = matrix.unnamed
    if unnamed is not None and target == NAME:
        # A name that was just set is meant to stay.
        unnamed = pending_names(matrix) & np.array([value is None for value in values], dtype=np.bool_)
    return merged(replace(matrix, labels=labels, unnamed=unnamed))


def _with(labels: Labels, name: str, value: str) -> Labels:
    rest = {key: kept for key, kept in labels.items() if key != name}
    return {**rest, name: value} if value else rest


def _expand(values: Sequence[str], template: str, pattern: str) -> list[str | None]:
    """The template filled from each value's groups, None where the pattern does not match the whole value."""
    numbered, names = _name_groups(pattern)
    try:
        anchored = f"^(?s:{numbered})$"
        matches = pc.match_substring_regex(pa.array(values, pa.string()), anchored).to_pylist()
        groups = pc.extract_regex(pa.array(values, pa.string()), f"^(?P<g0>(?s:{numbered}))$").to_pylist()
    except pa.ArrowInvalid:
        raise QueryError(f"invalid regular expression in label_replace(): {quoted(pattern)}") from None

    def fill(found: dict[str, str]) -> str:
        def one(reference: re.Match[str]) -> str:
            if reference[1]:
                return "$"
            name = reference[2] or reference[3]
            key = f"g{int(name)}" if name.isdigit() else names.get(name, "")
            return found.get(key) or ""

        return REFERENCE.sub(one, template)

    return [fill(found) if matched else None for found, matched in zip(groups, matches, strict=True)]


def _name_groups(pattern: str) -> tuple[str, dict[str, str]]:
    """The pattern with all of its groups named g1, g2, ..., as Arrow wants them, and which of these had which name."""
    names: dict[str, str] = {}
    count = 0

    def one(match: re.Match[str]) -> str:
        nonlocal count
        if match["group"] is None:
            return match[0]
        count += 1
        if match["name"]:
            names[match["name"]] = f"g{count}"
        return f"(?P<g{count}>"

    return GROUP.sub(one, pattern), names


def natural_key(text: str) -> list[tuple[int, int, str]]:
    """Sort key by which numbers inside text count as numbers.

    Example:
        >>> sorted(["a10", "a9"], key=natural_key)
        ['a9', 'a10']
    """
    parts = re.findall(r"[0-9]+|[^0-9]+", text)
    return [(0, int(part), "") if part[0] in "0123456789" else (1, 0, part) for part in parts]
