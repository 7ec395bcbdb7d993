"""Where trace and span ids come from."""

from __future__ import annotations

import os
import random
from functools import partial
from typing import Protocol


class IdSource(Protocol):
    """Makes ids."""

    def trace_id(self) -> int:
        """128 bits, not all 0."""
        ...

    def span_id(self) -> int:
        """64 bits, not all 0."""
        ...


# Our own generator: a host that seeds the common one for its tests or its science would repeat ids.
_random = random.Random()  # noqa: S311 - ids must be unique, not secret
_bits = _random.getrandbits
if hasattr(os, "register_at_fork"):  # pragma: no branch - absent on Windows, where nothing forks
    os.register_at_fork(after_in_child=_random.seed)  # or every worker of a preloading server would make the same ids


class RandomIds:
    """Ids from a generator that is seeded by the operating system, anew in every forked child.

    That one is 0, and so not valid, happens once in 2**64 spans. Both are C functions through and through.
    """

    __slots__ = ()

    trace_id = staticmethod(partial(_bits, 128))
    span_id = staticmethod(partial(_bits, 64))
