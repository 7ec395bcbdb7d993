"""Random PromQL of which every expression is well typed.

An expression knows whether its values are exact: sums of products of small dyadic numbers have no rounding, so that
what tears them apart (comparisons, floor, sgn, topk) cannot fall differently for a bit of noise. Only such values are
given to it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

DURATIONS = ("30s", "1m", "100s", "5m", "7m5s", "10m")
"""Multiples of five seconds: samples lie a second after those of fifteen, so none is ever on the edge of a window."""
OFFSETS = (
    "",
    "",
    "",
    " offset 1m",
    " offset 2m30s",
    " offset -1m",
    " @ 1700000640",
    " @ end()",
    " @ start() offset 1m",
)
SUBQUERIES = ("[100s:30s]", "[370s:1m]", "[590s:]", "[160s:1m] offset 1m")
"""Ranges that are no multiple of their step, for the same reason."""

INSTANT = ("level", "requests_total", "level{job='j1'}", "level{instance=~'i[0-3]'}", "comes", "goes", "flag")
COUNTERS = ("requests_total", "requests_total{job='j0'}")
GAUGES = ("level", "level{job!='j0'}", "comes", "goes", "flag")
ROUGH = ("sqrt", "exp", "ln", "log2", "log10", "sin", "cos", "tan", "atan", "sinh", "deg", "rad")
TEARING = ("ceil", "floor", "sgn", "abs", "round")
GROUPS = ("", " by (job)", " by (instance)", " by (job, instance)", " without (instance)", " without (job)", " by ()")
OVER_TIME_EXACT = ("min", "max", "sum", "count", "last", "present")
OVER_TIME_ROUGH = ("avg", "stddev", "stdvar")


class Writer:
    """Writes expressions.

    Args:
        seed: the same seed gives the same expressions.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - reproducible queries, no secrets

    def query(self) -> str:
        """An expression of type vector or scalar."""
        return self._vector(4, exact=False) if self._random.random() < 0.95 else self._scalar(3, exact=False)

    def _pick(self, ways: Sequence[str]) -> str:
        return self._random.choice(ways)

    def _vector(self, depth: int, *, exact: bool) -> str:
        if depth <= 0 or self._random.random() < 0.15:
            return self._pick(INSTANT) + self._pick(OFFSETS)
        ways: list[Callable[[int], str]] = [
            self._exact_aggregate, self._exact_over_time, self._exact_arithmetic, self._set, self._filter,
            self._torn, self._negated, self._relabelled, self._with_scalar, self._paired, self._top,
        ]  # fmt: skip
        if not exact:
            rough = [
                self._rate, self._rough_call, self._rough_aggregate, self._rough_over_time, self._division,
                self._quantile, self._subquery, self._times, self._regression,
            ]  # fmt: skip
            ways += rough * 2
        return self._random.choice(ways)(depth - 1)

    def _scalar(self, depth: int, *, exact: bool) -> str:
        ways = ["1", "2", "0.5", "-3", "time()", "1e3"]
        if depth > 0:
            ways += [
                f"scalar({self._vector(depth - 1, exact=exact)})",
                f"({self._scalar(depth - 1, exact=exact)} {self._pick('+-*')} {self._scalar(depth - 1, exact=exact)})",
            ]
        return self._pick(ways)

    def _exact_aggregate(self, depth: int) -> str:
        op = self._pick(("sum", "min", "max", "count", "group"))
        return f"{op}{self._pick(GROUPS)} ({self._vector(depth, exact=True)})"

    def _exact_over_time(self, _: int) -> str:
        function = f"{self._pick(OVER_TIME_EXACT)}_over_time"
        if self._random.random() < 0.3:
            function = self._pick(("changes", "resets"))
        return f"{function}({self._pick(GAUGES)}[{self._pick(DURATIONS)}]{self._pick(OFFSETS)})"

    def _exact_arithmetic(self, depth: int) -> str:
        return f"({self._vector(depth, exact=True)} {self._pick('+-*')} {self._pick(('1', '2', '0.5', '4'))})"

    def _set(self, depth: int) -> str:
        how = self._pick(("", " on (job)", " on (instance)", " ignoring (job)", " on ()"))
        left, right = self._vector(depth, exact=True), self._vector(depth, exact=True)
        return f"({left} {self._pick(('and', 'or', 'unless'))}{how} {right})"

    def _filter(self, depth: int) -> str:
        compare = self._pick((">", "<", ">=", "<=", "==", "!="))
        right = self._pick((" ", " bool ")) + self._pick(("0", "10", "20.5"))
        return f"({self._vector(depth, exact=True)} {compare}{right})"

    def _torn(self, depth: int) -> str:
        return f"{self._pick(TEARING)}({self._vector(depth, exact=True)})"

    def _negated(self, depth: int) -> str:
        return f"-({self._vector(depth, exact=True)})"

    def _relabelled(self, depth: int) -> str:
        inner = self._vector(depth, exact=True)
        if self._random.random() < 0.5:
            return f'label_replace({inner}, "{self._pick(("who", "job"))}", "x$1", "instance", "i(.*)")'
        return f'label_join({inner}, "both", "-", "job", "instance")'

    def _with_scalar(self, depth: int) -> str:
        return f"({self._scalar(depth, exact=True)} {self._pick('+-*')} {self._vector(depth, exact=True)})"

    def _paired(self, depth: int) -> str:
        how = self._pick(("on (instance, job)", "ignoring (x)", "on (instance)", "on (job) group_left ()"))
        right = self._vector(depth, exact=True)
        if "group_left" in how:
            right = f"max by (job) ({right})"
        return f"({self._vector(depth, exact=True)} {self._pick(('+', '-', '*', '>', '<= bool'))} {how} {right})"

    def _top(self, _: int) -> str:
        group = self._pick(("", " by (job)"))
        return f"{self._pick(('topk', 'bottomk'))}{group} ({self._random.randint(0, 4)}, level{self._pick(OFFSETS)})"

    def _rate(self, _: int) -> str:
        function = self._pick(("rate", "increase", "irate"))
        return f"{function}({self._pick(COUNTERS)}[{self._pick(DURATIONS)}]{self._pick(OFFSETS)})"

    def _rough_call(self, depth: int) -> str:
        return f"{self._pick(ROUGH)}({self._vector(depth, exact=True)})"

    def _rough_aggregate(self, depth: int) -> str:
        inner = self._vector(depth, exact=True)
        if self._random.random() < 0.3:
            return f"quantile{self._pick(GROUPS)} ({self._pick(('0', '0.3', '0.9', '1', '2'))}, {inner})"
        if self._random.random() < 0.5:
            inner = self._exact_over_time(depth)  # never NaN
            return f"{self._pick(('stddev', 'stdvar'))}{self._pick(GROUPS)} ({inner})"
        return f"{self._pick(('avg', 'sum'))}{self._pick(GROUPS)} ({inner})"

    def _rough_over_time(self, _: int) -> str:
        window = f"{self._pick(GAUGES)}[{self._pick(DURATIONS)}]{self._pick(OFFSETS)}"
        if self._random.random() < 0.3:
            return f"quantile_over_time({self._pick(('0.1', '0.5', '0.99'))}, {window})"
        return f"{self._pick(OVER_TIME_ROUGH)}_over_time({window})"

    def _division(self, depth: int) -> str:
        how = self._pick(("on (instance, job)", "ignoring (x)"))
        op = self._pick(("/", "%", "^"))
        return f"({self._vector(depth, exact=True)} {op} {how} {self._vector(depth, exact=True)})"

    def _quantile(self, _: int) -> str:
        rate = f"rate(wait_bucket[{self._pick(('5m', '7m5s', '10m'))}])"
        inner = self._pick((rate, f"sum by (le) ({rate})", f"sum by (le, job) ({rate})"))
        return f"histogram_quantile({self._pick(('0', '0.5', '0.9', '1'))}, {inner})"

    def _subquery(self, depth: int) -> str:
        function = self._pick((*OVER_TIME_EXACT, "avg"))
        return f"{function}_over_time(({self._vector(min(depth, 1), exact=True)}){self._pick(SUBQUERIES)})"

    def _times(self, _: int) -> str:
        function = self._pick(
            ("day_of_week", "day_of_month", "hour", "minute", "month", "year", "days_in_month", "day_of_year")
        )
        return f"{function}(vector(time() + {self._random.randint(-(10**8), 10**8)}))"

    def _regression(self, _: int) -> str:
        window = f"level[{self._pick(DURATIONS)}]"
        shifted = window + self._pick(OFFSETS)
        functions = (f"deriv({shifted})", f"delta({shifted})", f"idelta({shifted})")
        return self._pick((*functions, f"predict_linear({window}{self._pick(('', ' offset 1m'))}, 600)"))
