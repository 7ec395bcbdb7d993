"""Runs PromQL test scripts: Prometheus's ``load`` / ``eval`` / ``expect`` language.

Source of the format: Prometheus, ``promql/promqltest/README.md``. Native histograms are not there yet: a case that
reads or expects one is reported as not run, with the reason, and so is one that the parser cannot read.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from mirante.errors import BadQueryError, MiranteError, QueryError
from mirante.server.promql.engine import Engine, Result
from mirante.server.promql.matrix import NAME
from mirante.server.promql.parse import parse, unquote
from mirante.server.store.api import Labels, Matcher, MetricReader, QueryBudget, SeriesSet
from mirante.testing.memory_store import MemoryReader
from mirante.testing.series_notation import UNSUPPORTED, Point, read_series

TOLERANCE = 1e-6
"""Relative difference that two equal values may have (Prometheus: ``defaultEpsilon``)."""

_DURATION = re.compile(r"(\d+)(ms|[smhdwy])")
_UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000, "y": 31_536_000_000}


class ScriptError(MiranteError, ValueError):
    """A script that is not written in the language; the message names the line."""


@dataclass(slots=True)
class Expectation:
    """One ``expect`` line: of what, how to compare, and with which text."""

    kind: str
    match: Literal["", "msg", "regex"] = ""
    text: str = ""


@dataclass(slots=True)
class Case:
    """One ``eval``, at ``start`` (an instant query, ``step`` 0) or from there to ``end``; all in milliseconds."""

    line: int
    expression: str
    start: int
    end: int
    step: int
    expectations: list[Expectation] = field(default_factory=list)
    series: list[tuple[Labels, list[Point]]] = field(default_factory=list)
    scalar: float | None = None
    range_steps: tuple[int, int, int] | None = None

    def expects(self, kind: str) -> list[Expectation]:
        """The expectations of one kind."""
        return [one for one in self.expectations if one.kind == kind]


@dataclass(slots=True)
class Load:
    """One ``load``: series and their points every ``step`` milliseconds; ``nhcb`` adds native histograms of them."""

    step: int
    series: list[tuple[Labels, list[Point]]]
    nhcb: bool


class Clear:
    """Forget all data."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a case: ``passed``, ``failed`` or ``not run``, and why."""

    case: Case
    state: Literal["passed", "failed", "not run"]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """All outcomes of a script."""

    outcomes: Sequence[Outcome]

    def count(self, state: str) -> int:
        """How many cases ended so."""
        return sum(outcome.state == state for outcome in self.outcomes)

    @property
    def failures(self) -> list[str]:
        """Line, expression and reason of each failed case."""
        return [
            f"line {one.case.line}: {one.case.expression}: {one.reason}"
            for one in self.outcomes
            if one.state == "failed"
        ]

    @property
    def not_run(self) -> Mapping[str, int]:
        """How many cases were not run, by reason."""
        reasons: dict[str, int] = {}
        for one in self.outcomes:
            if one.state == "not run":
                reasons[one.reason] = reasons.get(one.reason, 0) + 1
        return reasons


EngineFactory = Callable[[MetricReader], Engine]


def production_engine(reader: MetricReader) -> Engine:
    """An engine with the options of Prometheus's own tests."""
    return Engine(reader, delayed_name_removal=True)


def run_script(script: str, make_engine: EngineFactory = production_engine) -> Report:
    r"""Runs all commands of a script against an engine over memory.

    Raises:
        ScriptError: when the script itself is wrong.

    Example:
        >>> run_script("load 1m\n  m 1 2\neval instant at 1m m\n  m 2\n").count("passed")
        1
    """
    reader = _WatchingReader()
    outcomes = []
    for command in read_script(script):
        if isinstance(command, Clear):
            reader = _WatchingReader()
        elif isinstance(command, Load):
            reader.load(command)
        else:
            outcomes.append(_run_case(command, make_engine(reader), reader))
    return Report(outcomes)


class _WatchingReader(MemoryReader):
    """Knows which series have native histograms, and whether one of them was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.histograms: set[frozenset[tuple[str, str]]] = set()
        self.touched = False

    def load(self, command: Load) -> None:
        keyed = [(frozenset(labels.items()), points) for labels, points in command.series]
        self.histograms |= {key for key, points in keyed if UNSUPPORTED in points}
        # Of two lines for one series the last counts, as in Prometheus.
        for key, points in dict(keyed).items():
            labels = dict(key)
            floats = [(index * command.step, value) for index, value in enumerate(points) if isinstance(value, float)]
            self.add(labels, floats)
            if command.nhcb and labels.get(NAME, "").endswith("_bucket"):
                native = {n: v for n, v in labels.items() if n != "le"}
                self.histograms.add(frozenset({**native, NAME: labels[NAME].removesuffix("_bucket")}.items()))

    def series(self, matchers: Sequence[Matcher], start: int, end: int, budget: QueryBudget) -> SeriesSet:
        shadow = MemoryReader()
        for key in self.histograms:
            shadow.add(dict(key), [(start, 0.0)])
        self.touched |= len(shadow.series(matchers, start, end, budget)) > 0
        return super().series(matchers, start, end, budget)


def _run_case(case: Case, engine: Engine, reader: _WatchingReader) -> Outcome:
    if any(UNSUPPORTED in points for _, points in case.series):
        return Outcome(case, "not run", "expects native histograms")
    try:
        parse(case.expression)
    except BadQueryError as error:
        if _compare_error(case, str(error)):
            return Outcome(case, "not run", f"not parsed: {str(error).partition('parse error: ')[2]}")
    reader.touched = False
    reason = _verdict(case, engine)
    if reader.touched:
        return Outcome(case, "not run", "reads native histograms or start timestamps")
    return Outcome(case, "failed" if reason else "passed", reason)


def _verdict(case: Case, engine: Engine) -> str:
    """Why the case fails, or the empty string."""
    budget = QueryBudget(deadline=time.monotonic() + 60)
    try:
        if case.step:
            result = engine.range(case.expression, case.start, case.end, case.step, budget)
        else:
            result = engine.instant(case.expression, case.start, budget)
    except QueryError as error:
        return _compare_error(case, str(error))
    if case.expects("fail"):
        return "it should have failed"
    return _compare(case, result) or _replayed(case, engine, budget)


def _compare_error(case: Case, message: str) -> str:
    wanted = case.expects("fail")
    if not wanted:
        return f"it failed: {message}"
    bare = message.partition("parse error: ")[2] or message
    return (
        "" if all(_fits(one, bare) for one in wanted) else f"it failed with {message!r} and not with {wanted[0].text!r}"
    )


def _fits(wanted: Expectation, text: str) -> bool:
    if wanted.match == "regex":
        return re.search(wanted.text, text) is not None
    return wanted.match == "" or text == wanted.text


def _compare(case: Case, result: Result) -> str:
    for kind, notes in (("warn", result.warnings), ("info", result.infos)):
        wanted = case.expects(kind)
        if case.expects(f"no_{kind}") and notes:
            return f"unexpected {kind}: {notes[0]}"
        if wanted and not notes:
            return f"no {kind}"
        for one in wanted:
            if not any(_fits(one, note) for note in notes):
                return f"no {kind} like {one.text!r} among {list(notes)}"
    strings = case.expects("string")
    if strings:
        return "" if result.text == strings[0].text else f"the string is {result.text!r}"
    if case.scalar is not None:
        value = float(result.values[0, 0]) if result.type == "scalar" else math.nan
        same = result.type == "scalar" and almost_equal(value, case.scalar)
        return "" if same else f"expected the scalar {case.scalar}, got {result.type} {value}"
    return _compare_series(case, result)


def _compare_series(case: Case, result: Result) -> str:
    got = dict(_rows(result))
    wanted = {frozenset(labels.items()): points for labels, points in _expected(case)}
    if got.keys() != wanted.keys():
        missing = [dict(key) for key in wanted.keys() - got.keys()]
        surplus = [dict(key) for key in got.keys() - wanted.keys()]
        return f"missing {missing}, surplus {surplus}"
    if case.expects("ordered") and list(got) != list(wanted):
        return f"wrong order: {[dict(key) for key in got]}"
    for key, points in wanted.items():
        moments = points.keys() | got[key].keys()
        for moment in sorted(moments):
            left, right = points.get(moment), got[key].get(moment)
            if left is None or right is None or not almost_equal(left, right):
                return f"{dict(key)} at {moment} ms: expected {left}, got {right}"
    return ""


def _expected(case: Case) -> Iterator[tuple[Labels, dict[int, float]]]:
    start, _, step = case.range_steps or (case.start, case.end, case.step)
    for labels, points in case.series:
        values = {start + index * step: point for index, point in enumerate(points) if isinstance(point, float)}
        if values:
            yield labels, values


def _rows(result: Result) -> Iterator[tuple[frozenset[tuple[str, str]], dict[int, float]]]:
    for row, labels in enumerate(result.labels):
        if result.samples is not None:
            first, last = result.samples.offsets[row : row + 2]
            pairs = zip(
                result.samples.timestamps[first:last].tolist(), result.samples.values[first:last].tolist(), strict=True
            )
        else:
            present = result.present[row]
            pairs = zip(result.times[present].tolist(), result.values[row][present].tolist(), strict=True)
        yield frozenset(labels.items()), dict(pairs)


_OF_BOUNDS = re.compile(r"\b(?:start|end|range|step)\s*\(\s*\)")


def _replayed(case: Case, engine: Engine, budget: QueryBudget) -> str:
    """An instant case once more as the middle step of a range query, where its answer cannot depend on that."""
    if case.step or case.range_steps or case.expects("ordered") or case.expects("string"):
        return ""
    if case.scalar is not None or _OF_BOUNDS.search(case.expression) or "sort" in case.expression:
        return ""
    minute = 60_000
    try:
        result = engine.range(case.expression, case.start - minute, case.start + minute, minute, budget)
    except QueryError as error:
        return f"as a range query it failed: {error}"
    middle = [(dict(key), points[case.start]) for key, points in _rows(result) if case.start in points]
    once = Case(case.line, case.expression, case.start, case.start, 0, series=case.series)
    rows = np.array([[value] for _, value in middle]).reshape(-1, 1)
    at = Result(
        "vector", [labels for labels, _ in middle], np.array([case.start]), rows, np.ones(rows.shape, dtype=np.bool_)
    )
    reason = _compare_series(once, at)
    return f"as a range query: {reason}" if reason else ""


def almost_equal(left: float, right: float) -> bool:
    """Equal up to TOLERANCE relative to the values' sizes; NaN equals NaN (Prometheus: ``util/almost``)."""
    if math.isnan(left) or math.isnan(right):
        return math.isnan(left) and math.isnan(right)
    if left == right:
        return True
    difference, size = abs(left - right), abs(left) + abs(right)
    smallest = 2.2250738585072014e-308
    if left == 0 or right == 0 or size < smallest:
        return difference < TOLERANCE * smallest
    return difference / min(size, 1.7976931348623157e308) < TOLERANCE


# --- Reading scripts -------------------------------------------------------------------------------------------------

_LOAD = re.compile(r"load(_with_nhcb)?\s+(\S+)")
_EVAL_INSTANT = re.compile(r"eval(?:_(fail|warn|ordered|info))?\s+instant\s+(?:at\s+(\S+)\s+)?(.+)")
_EVAL_RANGE = re.compile(r"eval(?:_(fail|warn|info))?\s+range\s+from\s+(\S+)\s+to\s+(\S+)\s+step\s+(\S+)\s+(.+)")
_EXPECT = re.compile(r"expect\s+(fail|warn|no_warn|info|no_info|ordered)\s*(?:(msg|regex)\s*:\s*(.*))?")
_EXPECT_STRING = re.compile(r"expect\s+string\s+(.+)")
_EXPECT_RANGE = re.compile(r"expect\s+range\s+vector\s+from\s+(\S+)\s+to\s+(\S+)\s+step\s+(\S+)")
_OLD_FAIL = re.compile(r"expected_fail_(message|regexp)\s+(.+)")

Command = Load | Clear | Case


def read_script(script: str) -> list[Command]:
    """The commands of a script.

    Raises:
        ScriptError: with the number of the first line that cannot be read.
    """
    commands: list[Command] = []
    for number, raw in enumerate(script.splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        try:
            command = _command(number, line)
            if command is not None:
                commands.append(command)
            else:
                _body(commands[-1] if commands else Clear(), line)
        except ValueError as error:
            raise ScriptError(f"line {number}: {line!r}: {error}") from error
    return commands


def _command(number: int, line: str) -> Command | None:
    if line == "clear":
        return Clear()
    if match := _LOAD.fullmatch(line):
        return Load(milliseconds(match[2]), [], match[1] is not None)
    if match := _EVAL_INSTANT.fullmatch(line):
        at = milliseconds(match[2] or "0")
        return Case(number, match[3], at, at, 0, _old_expectation(match[1]))
    if match := _EVAL_RANGE.fullmatch(line):
        start, end, step = (milliseconds(match[group]) for group in (2, 3, 4))
        return Case(number, match[5], start, end, step, _old_expectation(match[1]))
    return None


def _old_expectation(kind: str | None) -> list[Expectation]:
    return [Expectation(kind)] if kind else []


def _body(command: Command, line: str) -> None:
    if isinstance(command, Clear):
        raise ScriptError("a command is missing before it")
    if isinstance(command, Load):
        command.series.append(_series(line))
    elif match := _EXPECT_RANGE.fullmatch(line):
        command.range_steps = (milliseconds(match[1]), milliseconds(match[2]), milliseconds(match[3]))
    elif match := _EXPECT_STRING.fullmatch(line):
        command.expectations.append(Expectation("string", "msg", unquote(match[1])))
    elif match := _EXPECT.fullmatch(line):
        kind: Literal["", "msg", "regex"] = "msg" if match[2] == "msg" else "regex" if match[2] else ""
        command.expectations.append(Expectation(match[1], kind, (match[3] or "").strip()))
    elif match := _OLD_FAIL.fullmatch(line):
        command.expectations = [Expectation("fail", "msg" if match[1] == "message" else "regex", match[2])]
    elif (scalar := _number(line)) is not None:
        command.scalar = scalar
    else:
        command.series.append(_series(line))


def _series(line: str) -> tuple[Labels, list[Point]]:
    """A series and its points; those with start timestamps are not supported."""
    series, marked, _ = line.partition("@st")
    labels, points = read_series(series)
    return labels, [UNSUPPORTED] if marked else points


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def milliseconds(text: str) -> int:
    """A duration such as ``1h30m``, or seconds, in milliseconds; negative ones too.

    Raises:
        ScriptError: when it is neither.
    """
    seconds = _number(text)
    if seconds is not None:
        return round(seconds * 1000)
    body = text.removeprefix("-")
    if not body or _DURATION.sub("", body):
        raise ScriptError(f"{text!r} is no duration")
    total = sum(int(count) * _UNITS[unit] for count, unit in _DURATION.findall(body))
    return -total if text.startswith("-") else total
