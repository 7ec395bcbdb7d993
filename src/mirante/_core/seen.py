"""What was seen of the program while it ran, for the report of what is not monitored.

Whoever meets an application, an engine or a client says so once, with a function that describes it when somebody asks:
until then that costs a weak reference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from mirante._core.guard import REPORTER


class Sighting(NamedTuple):
    """One thing that could be monitored.

    Attributes:
        kind: what it is, such as ``route`` or ``database``.
        name: which one.
        lacks: of ``metric``, ``span``, ``log`` and ``check`` those that it should have and has not.
        hint: what to do about it.
    """

    kind: str
    name: str
    lacks: tuple[str, ...] = ()
    hint: str = ""


Describe = Callable[[Any], Iterable[Sighting]]

_seen: WeakKeyDictionary[object, Describe] = WeakKeyDictionary()
_checked: WeakKeyDictionary[object, bool] = WeakKeyDictionary()
_checked_names: set[str] = set()


def see(owner: object, describe: Describe) -> None:
    """Remember that something is there, for as long as it is; what cannot be referred to weakly is passed over.

    Args:
        owner: the thing itself.
        describe: called with it whenever somebody asks what is there.

    Example:
        >>> class Queue: ...
        >>> queue = Queue()
        >>> see(queue, lambda it: [Sighting("queue", "mails", ("metric",))])
        >>> sightings()[-1]
        Sighting(kind='queue', name='mails', lacks=('metric',), hint='')
    """
    _put(_seen, owner, describe)


def check_covers(owner: object) -> None:
    """Remember that a health check looks at something: the thing itself, or the name that it has in the report.

    Example:
        >>> check_covers("nightly export")
        >>> has_check("nightly export"), has_check("weekly export")
        (True, False)
    """
    if isinstance(owner, str):
        _checked_names.add(owner)
    else:
        _put(_checked, getattr(owner, "sync_engine", owner), True)  # an asynchronous engine stands for the one in it


def has_check(owner: object) -> bool:
    """Whether a health check looks at it."""
    return owner in (_checked_names if isinstance(owner, str) else _checked)


def _put(table: WeakKeyDictionary[object, Any], owner: object, value: object) -> None:
    try:
        table[owner] = value
    except TypeError:  # it has no hash or takes no weak reference
        return


def sightings() -> list[Sighting]:
    """All that is there now; a description that fails is reported and left out."""
    found: list[Sighting] = []
    for owner, describe in list(_seen.items()):
        try:
            found += describe(owner)
        except Exception as error:  # noqa: BLE001 - it looks into other people's objects
            REPORTER.fault(f"the report of what is not monitored: {type(owner).__name__}", error)
    return found
