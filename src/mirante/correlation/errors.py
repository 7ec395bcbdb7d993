"""The ids under which an exception was raised, for whoever meets it after its blocks have been left.

When an exception reaches the top of a thread or of the process, no span is current any more and nothing is bound. So
the blocks that it passes on its way leave their ids with it, in its own ``__dict__``: a table beside it would have to
keep it alive, because built-in exceptions cannot be referred to weakly.
"""

from __future__ import annotations

from collections.abc import Mapping

_IDS = "__mirante_ids__"


def remember(error: BaseException, ids: Mapping[str, str]) -> None:
    """Leave ids with an exception; those of inner blocks, which it passed before, win.

    Args:
        error: on its way out of a block.
        ids: of that block.

    Example:
        >>> error = ValueError("no")
        >>> remember(error, {"trace_id": "a", "span_id": "inner"})
        >>> remember(error, {"trace_id": "a", "span_id": "outer", "request_id": "r-1"})
        >>> ids_of(error)
        {'trace_id': 'a', 'span_id': 'inner', 'request_id': 'r-1'}
    """
    inner = ids_of(error)
    if "trace_id" in ids and inner.get("trace_id", ids["trace_id"]) != ids["trace_id"]:
        inner = {}  # of an earlier journey: somebody raises the same object again and again
    vars(error)[_IDS] = {**ids, **inner}


def ids_of(error: BaseException) -> Mapping[str, str]:
    """What was left with it.

    Example:
        >>> ids_of(ValueError("no"))
        {}
    """
    found: Mapping[str, str] = vars(error).get(_IDS, {})
    return found
