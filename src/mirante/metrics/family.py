"""What all instruments share: a name, labels, and the children that carry the numbers."""

from __future__ import annotations

import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any, ClassVar, Generic, NoReturn, TypeVar, Unpack

from mirante._core.clock import SYSTEM_CLOCK
from mirante._core.model import MetricFamily, NativePoint, Sample
from mirante._core.origin import caller
from mirante._core.spans import spans_possible
from mirante.errors import DeclarationError
from mirante.formats.exposition import Header, escape, lines
from mirante.metrics.expiry import Expiry
from mirante.metrics.limits import OVERFLOW, Limit
from mirante.metrics.names import label_names, metric_name
from mirante.metrics.options import MAX_LABEL_SETS, Options, Rule

_SPECIAL = re.compile(r'[\\"\n]')

Shape = tuple[object, ...]


def _picker(names: tuple[str, ...]) -> Callable[[Mapping[str, object]], tuple[object, ...]]:
    """What takes the values of those names from a mapping, in their order; KeyError where one is missing."""
    if len(names) < 2:
        return lambda named: tuple([named[name] for name in names])
    return itemgetter(*names)


class Child:
    """One series of an instrument, or the group of series that share its label values.

    Attributes:
        label_values: in the order of the instrument's label names.
    """

    __slots__ = ("label_values",)

    functions: ClassVar[tuple[str, ...]] = ()
    """Attributes with functions that may be kept instead of the child itself."""
    label_values: tuple[str, ...]

    def mark(self) -> object:
        """What differs whenever something was recorded; None for never idle."""
        return None

    def arm(self) -> None:
        """Take exemplars from the current span from now on, where the instrument has exemplars."""

    def has_exemplar(self) -> bool:
        """Whether there is an exemplar to show."""
        return False


C = TypeVar("C", bound=Child)


class Instrument(ABC, Generic[C]):
    """A named metric with its children.

    Attributes:
        name: the family's name as OpenMetrics has it: a counter's without ``_total``.
        help: one sentence for people.
        label_names: in the order in which ``labels()`` takes their values.
        unit: the base unit, such as ``seconds``, or the empty string.
        declared_at: ``file:line`` of the declaration.
        created: seconds since the Unix epoch when it was declared; every series began at zero no earlier.
    """

    __slots__ = (
        "__weakref__",
        "_armed",
        "_children",
        "_expiry",
        "_limit",
        "_options",
        "_pick",
        "_rules",
        "_special",
        "_width",
        "created",
        "declared_at",
        "help",
        "label_names",
        "name",
        "unit",
    )

    type: ClassVar[str]
    reserved: ClassVar[tuple[str, ...]] = ()
    suffixes: ClassVar[tuple[str, ...]] = ("",)

    def __init__(self, name: str, help: str = "", labels: Iterable[str] = (), **options: Unpack[Options]) -> None:
        utf8 = options.get("utf8", False)
        self.unit = options.get("unit", "")
        self.name = metric_name(name, self.unit, utf8=utf8)
        self.help = help
        self.label_names = label_names(self.name, labels, self.reserved, utf8=utf8)
        self._width = len(self.label_names)
        self._pick = _picker(self.label_names)
        self.declared_at = caller()
        self.created = time.time()
        self._options = options
        self._children: dict[tuple[str, ...], C] = {}
        self._special = False
        self._armed = False
        self._limit = Limit(self.name, options.get("max_label_sets", MAX_LABEL_SETS))
        self._rules = _rules(self.name, self.label_names, options.get("rules", {}))
        self._expiry: Expiry[C] | None = None

    def _ready(self) -> C | None:
        """To be called when a subclass has its own attributes: the only child of a metric without labels, or None."""
        ttl = self._options.get("ttl")
        if ttl is not None and not ttl > 0:
            raise DeclarationError(f"{self.name}: ttl must be positive, and is {ttl}")
        if not self.label_names:
            return self._child(())
        if ttl is not None:
            self._expiry = Expiry(ttl, self._options.get("clock", SYSTEM_CLOCK), [self._new()])
        return None

    @property
    def lines_per_child(self) -> int:
        """How many lines each child takes in an exposition."""
        return 1

    @abstractmethod
    def _new(self) -> C:
        """A child that starts at zero."""

    @abstractmethod
    def _samples(self, child: C, labels: dict[str, str]) -> Iterator[Sample]:
        """The samples of one child; ``labels`` is theirs to share."""

    @abstractmethod
    def _text(self, children: Sequence[C], keys: Sequence[tuple[str, ...]]) -> str:
        """The exposition's lines of those children, without building anything that the garbage collector tracks.

        ``keys`` are their label values, escaped.
        """

    def _slow_text(self, children: Sequence[C]) -> str:
        return "".join(lines(self._all_samples(children), openmetrics=True))

    def _all_samples(self, children: Sequence[C]) -> Iterator[Sample]:
        for child in children:
            yield from self._samples(child, dict(zip(self.label_names, child.label_values, strict=True)))

    def _native(self, child: C) -> NativePoint | None:
        """The child's native histogram, if it has one."""
        return None

    @property
    def utf8(self) -> bool:
        """Whether its names may be any text."""
        return self._options.get("utf8", False)

    @property
    def refused(self) -> int:
        """How often ``labels()`` gave the overflow series because there were ``max_label_sets`` already."""
        return self._limit.refused

    def shape(self) -> Shape:
        """What must agree for two declarations to mean the same metric; the help text need not."""
        return (type(self), self.label_names, self.unit)

    def sample_names(self) -> Iterator[str]:
        """Every name that this metric's samples or headers take."""
        for suffix in self.suffixes:
            yield self.name + suffix

    def labels(self, *values: object, **named: object) -> C:
        """The child with those label values, made at the first call; keep it where speed matters.

        Args:
            values: one for each label name, in their order; what is not text is converted by ``str``.
            named: the same by name.

        Raises:
            DeclarationError: the values do not fit the label names.

        Example:
            >>> from mirante.metrics import Counter
            >>> requests = Counter("requests", "Requests.", ["method", "code"])
            >>> requests.labels("GET", 200) is requests.labels(code="200", method="GET")
            True
        """
        if named:
            try:  # all by name is the common case, and costs half of working out which were given by position
                values = values + self._pick(named) if len(named) == self._width else self._ordered(values, named)
            except KeyError:
                values = self._ordered(values, named)
        try:
            return self._children[values]  # type: ignore[index] # what is not text is not found, and converted below
        except (KeyError, TypeError):  # new, not all text, or not even hashable
            return self._child(values)

    def remove(self, *values: object, **named: object) -> None:
        """Forget the child with those label values, if there is one; whoever kept it counts on unseen."""
        key = self._texts(self._ordered(values, named) if named else values)
        if self._expiry:
            self._expiry.forget(key)
        self._children.pop(key, None)

    def clear(self) -> None:
        """Forget all children; a metric without labels starts again from zero."""
        if self._expiry:
            self._expiry.forget_all()
        if self.label_names:
            self._children = {}
        else:
            self.reset()

    def reset(self) -> None:
        """Set what is counted back to zero, in a forked child for instance; gauges keep their numbers."""
        for child in list(self._children.values()):
            self._zero(child)

    def _zero(self, child: C) -> None:
        """Set the child's counts to zero."""

    def children(self) -> list[C]:
        """The present children: a copy made at once, so that no other thread is held up."""
        if self._expiry:
            self._expiry.sweep(self._children)
        found = list(self._children.values())
        if not self._armed and self._wants_exemplars():
            self._armed = True
            for child in found:
                child.arm()
        return found

    def _wants_exemplars(self) -> bool:
        return self._options.get("exemplars", True) and spans_possible()

    def header(self) -> Header:
        """What an exposition says before the samples."""
        return Header(self.name, self.type, self.help, self.unit)

    def collect(self) -> Iterator[MetricFamily]:
        """The family with all its samples, as every collector gives it."""
        children = self.children()
        samples = tuple(self._all_samples(children))
        native = tuple(point for child in children if (point := self._native(child)))
        yield MetricFamily(self.name, self.type, self.help, self.unit, samples, native)

    def text(self, children: Sequence[C], *, openmetrics: bool = False) -> str:
        """The lines of those children in a text exposition; exemplars are in OpenMetrics only."""
        if openmetrics and any(child.has_exemplar() for child in children):
            return self._slow_text(children)
        if self._special:
            keys = [tuple(map(escape, child.label_values)) for child in children]
        else:
            keys = [child.label_values for child in children]
        text = self._text(children, keys)
        # Values are the last thing on a line and no label value has a bare line feed, so this finds values only.
        return text.replace(" inf\n", " +Inf\n").replace(" -inf\n", " -Inf\n").replace(" nan\n", " NaN\n")

    def _template(self, suffix: str = "", more: str = "") -> str:
        """A ``%`` template from label values to the beginning of a line, up to the value.

        ``more`` are labels to add, such as ``le="0.1"``.
        """
        inside = ",".join([*(f'{name}="%s"' for name in self.label_names), *([more] if more else [])])
        return f"{self.name}{suffix}{{{inside}}} " if inside else f"{self.name}{suffix} "

    def _child(self, values: tuple[object, ...]) -> C:
        key = self._texts(values)
        found = self._children.get(key)
        if found is not None:
            return found
        if self._expiry and (found := self._expiry.revive(key, self._children)):
            return found
        if self.label_names and len(self._children) >= self._limit.most and not self._made_room():
            return self._overflow()
        return self._add(key)

    def _made_room(self) -> bool:
        if self._expiry and self._expiry.due():
            self._expiry.sweep(self._children)
        return len(self._children) < self._limit.most

    def _overflow(self) -> C:
        key = (OVERFLOW,) * len(self.label_names)
        self._limit.refuse(self.name, self.declared_at, self.label_names, self._children)
        return self._children.get(key) or self._add(key)

    def _add(self, key: tuple[str, ...]) -> C:
        child = self._new()
        child.label_values = key
        if self._armed:
            child.arm()
        if any(map(_SPECIAL.search, key)):
            self._special = True
        return self._children.setdefault(key, child)  # atomic: of two threads the second gets the first one's child

    def _texts(self, values: tuple[object, ...]) -> tuple[str, ...]:
        # The text that a subclass of str holds, not what its __str__ makes of it: it must equal its own hash's key.
        key = tuple([str.__str__(value) if isinstance(value, str) else str(value) for value in values])
        if len(key) != len(self.label_names):
            raise DeclarationError(f"{self.name}: labels() needs one value for each of {self.label_names}, got {key}")
        if self._rules:
            return tuple([rule(text) if rule else text for rule, text in zip(self._rules, key, strict=True)])
        return key

    def _ordered(self, values: tuple[object, ...], named: dict[str, object]) -> tuple[object, ...]:
        try:
            ordered = values + tuple([named[name] for name in self.label_names[len(values) :]])
        except KeyError:
            ordered = ()
        if len(ordered) != len(values) + len(named):
            raise DeclarationError(
                f"{self.name}: labels() needs one value for each of {self.label_names}, "
                f"got {len(values)} by position and {sorted(named)} by name"
            )
        return ordered

    def _needs_labels(self, *_args: Any, **_kwargs: Any) -> NoReturn:  # noqa: ANN401 - stands in for any operation
        raise DeclarationError(f"{self.name} has the labels {self.label_names}: call .labels(...) first")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} {self.label_names}>"


def _rules(metric: str, labels: tuple[str, ...], rules: Mapping[str, Rule]) -> tuple[Rule | None, ...]:
    """The rule of each label in order; empty where there is none at all."""
    unknown = sorted(set(rules) - set(labels))
    if unknown:
        raise DeclarationError(f"{metric}: rules name labels that it does not have: {unknown}")
    return tuple(map(rules.get, labels)) if rules else ()
