"""What a stage is. Stages are values without state; a pipeline binds each one, and what it bound has the state.

A record stage sees one measurement at a time as it is recorded, a delivery stage one batch on its way to one
destination. Write your own by giving a class a ``bind`` or a ``wrap`` method. ``Batch`` is neither: it sets the size of
the batches before any delivery stage sees them, so that each batch fails or arrives as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, TypeAlias, runtime_checkable

from mirante._core.clock import Clock
from mirante._core.protocols import Exportable
from mirante._core.record import Metric

Emit: TypeAlias = Callable[[Metric], None]
Send: TypeAlias = Callable[[Sequence[Exportable]], None]


def nothing_held() -> None:
    """The ``drain`` of a stage that holds nothing back."""


class Bound(NamedTuple):
    """A record stage at work in one pipeline, called by one thread at a time.

    Attributes:
        record: takes a measurement from the stage before.
        drain: passes on everything held back.
    """

    record: Emit
    drain: Callable[[], None] = nothing_held


class RecordContext(NamedTuple):
    """What a pipeline offers its record stages.

    Attributes:
        emit: takes what goes on to the next stage.
        drop: counts measurements that end here: a reason and how many.
        clock: the time.
    """

    emit: Emit
    drop: Callable[[str, int], None]
    clock: Clock


@runtime_checkable
class RecordStage(Protocol):
    """A stage that sees each measurement as it is recorded."""

    def bind(self, context: RecordContext, /) -> Bound:
        """Start work in a pipeline."""
        ...


class DeliveryContext(NamedTuple):
    """What one destination's delivery offers its delivery stages.

    Attributes:
        wait: waits that many seconds; false at once when there is no time for it because the pipeline is ending.
        retried: counts one more attempt.
    """

    wait: Callable[[float], bool]
    retried: Callable[[], None]


@runtime_checkable
class DeliveryStage(Protocol):
    """A stage that sees each batch on its way to a destination."""

    def wrap(self, send: Send, context: DeliveryContext, /) -> Send:
        """Start work before ``send``, which raises when the batch did not arrive."""
        ...
