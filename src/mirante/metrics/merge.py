"""The metrics of several processes as one: plain states of instruments, how two of them combine, and the way back.

A state holds nothing but what ``marshal`` can write. The instruments that come back are ordinary ones, so every format
exposes them as it exposes any others.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from mirante._core.model import Exemplar, MetricFamily
from mirante.metrics import merge_families
from mirante.metrics.distributions import Histogram, Summary
from mirante.metrics.family import Instrument
from mirante.metrics.native import FINEST, NativeBuckets, NativeState
from mirante.metrics.registry import Registry
from mirante.metrics.states import Info, StateSet
from mirante.metrics.types import Counter, Gauge

Key = tuple[str, ...]
State = Any
"""A tuple of numbers, text, lists and dicts; which, is each kind's own affair."""


class Declared(NamedTuple):
    """What it takes to declare an instrument again.

    Attributes:
        kind: ``counter``, ``gauge`` and so on.
        name: the family's name.
        help: one sentence.
        labels: label names.
        created: when the first of them was declared, in seconds since the Unix epoch.
        arguments: keyword arguments of its class.
    """

    kind: str
    name: str
    help: str
    labels: tuple[str, ...]
    created: float
    arguments: dict[str, Any]


Dump = dict[str, tuple[Declared, dict[Key, State]]]
"""By name: the declaration, and the state of each child. A collector's family is one of kind ``family``."""

FAMILY = "family"


class Kind(NamedTuple):
    """How one kind of instrument becomes a state and an instrument again."""

    make: Callable[..., Instrument[Any]]
    arguments: Callable[[Any], dict[str, Any]]
    dump: Callable[[Any], State]
    combine: Callable[[State, State, Declared], State]
    load: Callable[[Any, State], None]


def _example(example: Exemplar | None) -> tuple[dict[str, str], float, float | None] | None:
    if example is None:
        return None
    return {str(name): str(text) for name, text in example.labels.items()}, example.value, example.timestamp


def _newer(one: Any, other: Any) -> Any:  # noqa: ANN401 - exemplars in their plain form, or None
    if one is None or other is None:
        return one or other
    return max(one, other, key=lambda example: example[2] or 0.0)


def _load_counter(child: Any, state: State) -> None:  # noqa: ANN401 - a child of that kind, here and below
    child.total.cell_contents = state[0]
    child.example.cell_contents = Exemplar(*state[1]) if state[1] else None


_GAUGES: dict[str, Callable[[float, float], float]] = {"sum": operator.add, "max": max, "min": min}


def _combine_gauges(one: State, other: State, declared: Declared) -> State:
    how = _GAUGES.get(declared.arguments["multiprocess_mode"].removeprefix("live"))
    if how is None:
        return max(one, other, key=lambda state: state[1])
    return how(one[0], other[0]), max(one[1], other[1])


def _load_gauge(child: Any, state: State) -> None:  # noqa: ANN401
    child.number = state[0]


def _dump_histogram(child: Any) -> State:  # noqa: ANN401
    counts, total = child.snapshot()
    examples = {at: _example(example) for at, example in list(child.examples.items())}
    return counts, float(total), examples, tuple(child.native.state()) if child.native else None


def _combine_histograms(one: State, other: State, declared: Declared) -> State:
    examples = {**one[2], **{at: _newer(one[2].get(at), example) for at, example in other[2].items()}}
    native = None
    if one[3]:
        both = NativeBuckets(FINEST, declared.arguments["native_buckets"])
        for state in (one[3], other[3]):
            both.merge(NativeState(*state))
        native = tuple(both.state())
    return list(map(operator.add, one[0], other[0])), one[1] + other[1], examples, native


def _load_histogram(child: Any, state: State) -> None:  # noqa: ANN401
    child.counts[:], child.total.cell_contents = state[0], state[1]
    child.examples.update({at: Exemplar(*example) for at, example in state[2].items()})
    if child.native:
        child.native.merge(NativeState(*state[3]))


def _dump_summary(child: Any) -> State:  # noqa: ANN401
    bins = dict(child.sketch.bins()) if child.sketch else {}
    return child.counted.cell_contents, float(child.total.cell_contents), bins


def _combine_summaries(one: State, other: State, _declared: Declared) -> State:
    bins = dict(one[2])
    for index, count in other[2].items():
        bins[index] = bins.get(index, 0) + count
    return one[0] + other[0], one[1] + other[1], bins


def _load_summary(child: Any, state: State) -> None:  # noqa: ANN401
    child.counted.cell_contents, child.total.cell_contents = state[0], state[1]
    if child.sketch:
        child.sketch.load(state[2])


def _later(one: State, other: State, _declared: Declared) -> State:
    return max(one, other, key=lambda state: state[1])


def _load_info(child: Any, state: State) -> None:  # noqa: ANN401
    child.facts, child.stamp = state


def _load_states(child: Any, state: State) -> None:  # noqa: ANN401
    child.current, child.stamp = state


KINDS: Mapping[str, Kind] = {
    "counter": Kind(
        Counter,
        lambda _: {},
        lambda child: (child.value, _example(child.example.cell_contents)),
        lambda one, other, _: (one[0] + other[0], _newer(one[1], other[1])),
        _load_counter,
    ),
    "gauge": Kind(
        Gauge,
        lambda gauge: {"multiprocess_mode": gauge.multiprocess_mode},
        lambda child: (child.value, getattr(child, "stamp", 0.0)),
        _combine_gauges,
        _load_gauge,
    ),
    "histogram": Kind(Histogram, Histogram.arguments, _dump_histogram, _combine_histograms, _load_histogram),
    "summary": Kind(Summary, Summary.arguments, _dump_summary, _combine_summaries, _load_summary),
    "info": Kind(
        Info,
        lambda _: {},
        lambda child: ({str(name): str(fact) for name, fact in child.facts.items()}, child.stamp),
        _later,
        _load_info,
    ),
    "stateset": Kind(
        StateSet,
        lambda states: {"states": states.states},
        lambda child: (child.current, child.stamp),
        _later,
        _load_states,
    ),
}


def dump(registry: Registry, pid: int) -> Dump:
    """The present state of all instruments; gauges of mode ``all`` get the label ``pid``."""
    found: Dump = {}
    for instrument in registry.instruments():
        kind = KINDS[instrument.type]
        arguments = {**kind.arguments(instrument), "unit": instrument.unit, "utf8": instrument.utf8}
        labels, more = instrument.label_names, ()
        if arguments.get("multiprocess_mode") == "all":
            labels, more = (*labels, "pid"), (str(pid),)  # type: ignore[assignment] # a tuple of one
        declared = Declared(instrument.type, instrument.name, instrument.help, labels, instrument.created, arguments)
        states = {child.label_values + more: kind.dump(child) for child in instrument.children()}
        found[instrument.name] = (declared, states)
    for family in registry.own_families():
        told = merge_families.Told(family.type, family.help, family.unit)
        found[family.name] = Declared(FAMILY, family.name, "", (), 0.0, told._asdict()), merge_families.states(family)
    return found


def combined(dumps: Iterable[Dump]) -> Dump:
    """All as one. Where two declare the same name differently, as during a deployment, the first one counts."""
    found: Dump = {}
    for one in dumps:
        for name, (declared, states) in one.items():
            known, merged = found.setdefault(name, (declared, {}))
            if (known.kind, known.labels, known.arguments) != (declared.kind, declared.labels, declared.arguments):
                continue
            combine = _family if declared.kind == FAMILY else KINDS[declared.kind].combine
            for key, state in states.items():
                merged[key] = combine(merged[key], state, known) if key in merged else state
            found[name] = (known._replace(created=min(known.created, declared.created)), merged)
    return found


def _family(one: State, other: State, declared: Declared) -> State:
    return merge_families.combine(one, other, merge_families.Told(**declared.arguments), declared.name)


def of_the_dead(dumped: Dump) -> Dump:
    """What stays of a process that has ended: all but the gauges of the living."""
    return {name: (declared, states) for name, (declared, states) in dumped.items() if _stays(declared)}


def _stays(declared: Declared) -> bool:
    if declared.kind == FAMILY:
        return merge_families.Told(**declared.arguments).stays
    return not declared.arguments.get("multiprocess_mode", "").startswith(("live", "all"))


def without(dumped: Dump, removed: Iterable[tuple[str, Key]]) -> Dump:
    """The same without the children that were removed; the label ``pid`` does not count."""
    gone = set(removed)
    return {
        name: (declared, {key: state for key, state in states.items() if (name, _own(declared, key)) not in gone})
        for name, (declared, states) in dumped.items()
    }


def _own(declared: Declared, key: Key) -> Key:
    return key[:-1] if declared.arguments.get("multiprocess_mode") == "all" else key


def registry_of(dumped: Dump) -> Registry:
    """Ordinary instruments with those states."""
    registry = Registry()
    families = []
    for declared, states in dumped.values():
        if declared.kind == FAMILY:
            told = merge_families.Told(**declared.arguments)
            families.append(merge_families.family(declared.name, told, states))
            continue
        kind = KINDS[declared.kind]
        arguments = {**declared.arguments, "exemplars": False, "max_label_sets": max(1, len(states))}
        arguments.pop("multiprocess_mode", None)  # already carried out
        instrument = kind.make(declared.name, declared.help, declared.labels, **arguments)
        instrument.created = declared.created
        for key, state in states.items():
            kind.load(instrument.labels(*key), state)
        registry.add(instrument)
    registry.register(_Families(families))
    return registry


class _Families(NamedTuple):
    """A collector that gives what it was given."""

    families: list[MetricFamily]

    def collect(self) -> list[MetricFamily]:
        return self.families
