"""Info and state set: instruments whose values are words."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import ClassVar, Unpack

from mirante._core.done import DONE, Done
from mirante._core.model import Sample
from mirante.errors import DeclarationError
from mirante.metrics.family import Child, Instrument, Shape
from mirante.metrics.names import label_names
from mirante.metrics.options import Options


class BoundInfo(Child):
    """One set of facts.

    Attributes:
        facts: the present ones.
        stamp: when they were set, in seconds since the Unix epoch; 0 for never.

    Example:
        >>> build = Info("build", "What runs.", labels=("part",)).labels("api")
        >>> build.info({"version": "1.2"})
        DONE
        >>> dict(build.facts)
        {'version': '1.2'}
    """

    __slots__ = ("_check", "facts", "stamp")

    def __init__(self, check: Callable[[Mapping[str, str]], None]) -> None:
        self._check = check
        self.facts: Mapping[str, str] = {}
        self.stamp = 0.0

    def mark(self) -> object:
        """When it was set."""
        return self.stamp

    def info(self, facts: Mapping[str, str]) -> Done:
        """Replace the facts; the result may be awaited or ignored.

        Raises:
            DeclarationError: a name is malformed or one of the metric's own labels, or a fact is no text.
        """
        self._check(facts)
        self.facts = dict(facts)
        self.stamp = time.time()
        return DONE


class Info(Instrument[BoundInfo]):
    """Facts that do not change while the process runs: version, build, configuration. Its value is always 1.

    Arguments and errors as for Counter. The sample ends in ``_info``, written or not.

    Example:
        >>> from mirante.metrics import Info
        >>> build = Info("build", "How this program was built.")
        >>> build.info({"version": "1.2", "commit": "abc"})
        DONE
    """

    __slots__ = ("info",)
    type = "info"
    suffixes: ClassVar[tuple[str, ...]] = ("", "_info")

    def __init__(self, name: str, help: str = "", labels: Iterable[str] = (), **options: Unpack[Options]) -> None:
        if options.get("unit"):
            raise DeclarationError(f"{name}: an info has no unit")
        super().__init__(name.removesuffix("_info"), help, labels, **options)
        sole = self._ready()
        self.info: Callable[[Mapping[str, str]], Done] = sole.info if sole else self._needs_labels

    def _new(self) -> BoundInfo:
        return BoundInfo(self._check)

    def _check(self, facts: Mapping[str, str]) -> None:
        label_names(self.name, facts, self.label_names, utf8=self.utf8)
        if not all(isinstance(fact, str) for fact in facts.values()):
            raise DeclarationError(f"{self.name}: facts must be text, but got {facts}")

    def _text(self, children: Sequence[BoundInfo], keys: Sequence[tuple[str, ...]]) -> str:
        return self._slow_text(children)

    def _samples(self, child: BoundInfo, labels: dict[str, str]) -> Iterator[Sample]:
        yield Sample(f"{self.name}_info", {**labels, **child.facts}, 1.0)


class BoundStateSet(Child):
    """One thing that is in one of several states.

    Attributes:
        current: the state in which it is.
        stamp: when that was set, in seconds since the Unix epoch; 0 for never.

    Example:
        >>> job = StateSet("job", "Of a job.", labels=("name",), states=("idle", "running")).labels("backup")
        >>> job.state("running")
        DONE
        >>> job.current
        'running'
    """

    __slots__ = ("_states", "current", "stamp")

    def __init__(self, states: tuple[str, ...]) -> None:
        self._states = states
        self.current = states[0]
        self.stamp = 0.0

    def mark(self) -> object:
        """When it was set."""
        return self.stamp

    def state(self, name: str) -> Done:
        """Go over to that state; the result may be awaited or ignored.

        Raises:
            DeclarationError: it is not one of those declared.
        """
        if name not in self._states:
            raise DeclarationError(f"{name!r} is not one of the states {self._states}")
        self.current = name
        self.stamp = time.time()
        return DONE


class StateSet(Instrument[BoundStateSet]):
    """Which of several states something is in: one series for each, 1 for the present one and 0 for the others.

    Args:
        states: their names, at least one; the first is that at the beginning.

    Other arguments and errors as for Counter.

    Example:
        >>> from mirante.metrics import StateSet
        >>> job = StateSet("job_state", "What the job does.", states=["idle", "running"])
        >>> job.state("running")
        DONE
    """

    __slots__ = ("_states", "state")
    type = "stateset"

    def __init__(
        self,
        name: str,
        help: str = "",
        labels: Iterable[str] = (),
        *,
        states: Iterable[str],
        **options: Unpack[Options],
    ) -> None:
        if options.get("unit"):
            raise DeclarationError(f"{name}: a state set has no unit")
        super().__init__(name, help, labels, **options)
        self._states = tuple(states)
        if not self._states or len(set(self._states)) != len(self._states) or isinstance(states, str):
            raise DeclarationError(f"{name}: states must be one or more different names, but are {states!r}")
        label_names(self.name, self.label_names, (self.name,), utf8=self.utf8)
        sole = self._ready()
        self.state: Callable[[str], Done] = sole.state if sole else self._needs_labels

    @property
    def states(self) -> tuple[str, ...]:
        """Their names, in the order of the declaration."""
        return self._states

    @property
    def lines_per_child(self) -> int:
        """One for each state."""
        return len(self._states)

    def shape(self) -> Shape:
        """The states belong to it."""
        return (*super().shape(), self._states)

    def _new(self) -> BoundStateSet:
        return BoundStateSet(self._states)

    def _text(self, children: Sequence[BoundStateSet], keys: Sequence[tuple[str, ...]]) -> str:
        return self._slow_text(children)

    def _samples(self, child: BoundStateSet, labels: dict[str, str]) -> Iterator[Sample]:
        for state in self._states:
            yield Sample(self.name, {**labels, self.name: state}, float(state == child.current))
