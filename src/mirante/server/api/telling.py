"""What an answer tells about itself beside its values: statistics, and how it was found."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np

from mirante.errors import BadRequestError
from mirante.server.api.parameters import Parameters
from mirante.server.promql.engine import Result
from mirante.server.store.api import QueryBudget, SampleBlock
from mirante.server.trace import Trace, document


class Telling:
    """Which of it a request asks for, by ``stats`` (as in Prometheus) and ``explain``, and the notes for it."""

    def __init__(self, *, stats: bool, explain: bool) -> None:
        self._stats = stats
        self._explain = explain
        self._asked = self._began = 0.0

    @classmethod
    def of(cls, given: Parameters) -> Self:
        """Read the parameters.

        Raises:
            BadRequestError: ``explain`` is neither 0 nor 1.
        """
        explain = given.text("explain", "0")
        if explain not in {"0", "1", "false", "true"}:
            raise BadRequestError(f'invalid parameter "explain": expected 0 or 1, not "{explain}"')
        return cls(stats=bool(given.text("stats")), explain=explain in {"1", "true"})

    def begin(self, budget: QueryBudget, asked: float) -> None:
        """The query begins, having waited for its thread since ``asked``, by ``time.perf_counter``."""
        self._asked, self._began = asked, time.perf_counter()
        if self._explain:
            budget.trace = Trace()

    def end(self, budget: QueryBudget) -> Mapping[str, Any]:
        """The query is answered: what stands beside the result."""
        now = time.perf_counter()
        told: dict[str, Any] = {}
        if self._stats:
            waited, took = self._began - self._asked, now - self._began
            told["stats"] = {
                "timings": {
                    "evalTotalTime": took,
                    "execQueueTime": waited,
                    "execTotalTime": now - self._asked,
                },
                "samples": {"totalQueryableSamples": budget.held, "peakSamples": budget.held},
            }
        if budget.trace is not None:
            budget.trace.root.seconds = now - self._began
            told["explain"] = document(budget.trace.root)
        return told


def truncated(result: Result, limit: int | None) -> tuple[Result, Sequence[str]]:
    """The answer with ``limit`` series at most, and a warning where there were more."""
    if limit is None or result.type not in {"vector", "matrix"} or len(result.labels) <= limit:
        return result, ()
    samples = result.samples
    if samples is not None:
        end = int(samples.offsets[limit])
        samples = SampleBlock(samples.offsets[: limit + 1], samples.timestamps[:end], samples.values[:end])
    rows = np.arange(min(limit, len(result.values)))
    cut = replace(
        result,
        labels=result.labels[:limit],
        values=result.values[rows],
        present=result.present[rows],
        samples=samples,
    )
    return cut, ["results truncated due to limit"]
