"""Where the metrics of OpenTelemetry's API are kept: one family for each, whose series may have any labels.

Source: OpenTelemetry specification, "Prometheus and OpenMetrics Compatibility".
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from typing import Any

from opentelemetry import metrics as api
from opentelemetry.util.types import Attributes

from mirante._core.guard import REPORTER
from mirante._core.model import MetricFamily, NativePoint, Sample
from mirante.formats.otlp_names import label_name
from mirante.metrics.family import Instrument
from mirante.metrics.options import MAX_LABEL_SETS

Callback = (
    Callable[[api.CallbackOptions], Any] | Generator[Any, api.CallbackOptions, None]  # of an iterable of Observation
)


class Family:
    """One metric under its Prometheus name.

    Args:
        head: name, type, help and unit.
        make: an instrument with these label names.
    """

    def __init__(self, head: MetricFamily, make: Callable[[tuple[str, ...]], Instrument[Any]]) -> None:
        self.head = head
        self._make = make
        self._parts: dict[tuple[str, ...], Instrument[Any]] = {}
        self.observers: list[Observer] = []

    def child(self, labels: Mapping[str, str]) -> Any:  # noqa: ANN401 - of any instrument
        """The series with these labels."""
        names = tuple(sorted(labels))
        part = self._parts.get(names)
        if part is None:
            part = self._parts.setdefault(names, self._make(names))
        return part.labels(*[labels[name] for name in names])

    def collect(self) -> MetricFamily | None:
        """All series; None when there is none yet."""
        samples: list[Sample] = []
        native: list[NativePoint] = []
        for part in list(self._parts.values()):
            for family in part.collect():
                samples += family.samples
                native += family.native
        suffix = "_total" if self.head.type == "counter" else ""
        observed = {tuple(sorted(labels.items())): value for one in self.observers for labels, value in one.ask()}
        samples += [Sample(self.head.name + suffix, dict(labels), value) for labels, value in observed.items()]
        if not samples and not native:
            return None
        head = self.head
        return MetricFamily(head.name, head.type, head.help, head.unit, tuple(samples), tuple(native))

    def reset(self) -> None:
        """Set what is counted back to zero."""
        for part in list(self._parts.values()):
            part.reset()


class Labels:
    """Turns attributes into labels.

    Args:
        scope: labels that every series of the instrumentation has.
        kept: the attributes to keep; None for all.
        reserved: label names that are the metric type's own.
    """

    def __init__(self, scope: Mapping[str, str], kept: Collection[str] | None, reserved: Collection[str]) -> None:
        self._scope, self._kept, self._reserved = scope, kept, reserved

    def of(self, attributes: Attributes) -> dict[str, str]:
        """The labels; attributes that become one are joined by ``;`` in the order of their own names."""
        found: dict[str, str] = {}
        for key, value in sorted((attributes or {}).items()):
            if self._kept is None or key in self._kept:
                name = label_name(key) or "_"
                if name.startswith("__") or name in self._reserved:
                    name = f"key_{name.lstrip('_')}"
                found[name] = f"{found[name]};{text(value)}" if name in found else text(value)
        return {**found, **self._scope}


def text(value: object) -> str:
    """An attribute's value as a label's: text as it is, everything else as JSON.

    Example:
        >>> text("GET"), text(True), text((1, 2))
        ('GET', 'true', '[1, 2]')
    """
    return value if isinstance(value, str) else json.dumps(value, default=str)


class Recorder:
    """Finds the series for attributes, quickly for those that it has seen."""

    def __init__(self, family: Family, labels: Labels) -> None:
        self._family, self._labels = family, labels
        self._seen: dict[object, Any] = {}

    def child(self, attributes: Attributes) -> Any:  # noqa: ANN401 - of any instrument
        """The series."""
        try:
            # The types too, because 1, 1.0 and True are equal and their texts are not.
            key = (frozenset(attributes.items()), *map(type, attributes.values())) if attributes else None
            found = self._seen.get(key)
        except TypeError:  # a list among the values
            return self._family.child(self._labels.of(attributes))
        if found is None:
            found = self._family.child(self._labels.of(attributes))
            if len(self._seen) < MAX_LABEL_SETS:
                self._seen[key] = found
        return found

    def record(self, operation: str, amount: float, attributes: Attributes) -> None:
        """Do it; what cannot be recorded is reported."""
        try:
            getattr(self.child(attributes), operation)(amount)
        except Exception as error:  # noqa: BLE001 - whatever an instrumentation hands over, its host goes on
            REPORTER.warn(f"OpenTelemetry metric {self._family.head.name}", f"not recorded: {error}")


class Observer:
    """Asks an observable instrument's callbacks."""

    def __init__(self, name: str, callbacks: Sequence[Callback], labels: Labels) -> None:
        self._name, self._callbacks, self._labels = name, callbacks, labels

    def ask(self) -> Iterator[tuple[dict[str, str], float]]:
        """Labels and values; a callback that fails is reported and left out."""
        for callback in self._callbacks:
            try:
                observed = callback(api.CallbackOptions()) if callable(callback) else next(callback)
                yield from [(self._labels.of(one.attributes), float(one.value)) for one in observed]
            except Exception as error:  # noqa: BLE001 - one callback's fault must not cost the whole exposition
                REPORTER.fault(f"OpenTelemetry callback of {self._name}", error)
