"""The moments at which a server of this process has started and has stopped.

When it has started, it has set its loggers up as it wants them, and they can be taken over. When it has stopped, some
end their process by a signal right after it, which ``atexit`` does not see: uvicorn does. So this is the last chance to
deliver what there is; but the process may also go on, as one does whose tests start servers.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

_begin: Callable[[], object] | None = None
_deliver: Callable[[float], object] | None = None
_seconds = 0.0


def at_server_start(begin: Callable[[], object] | None) -> None:
    """Call that whenever a server has started; None for nothing any more.

    Example:
        >>> at_server_start(lambda: print("looked"))
        >>> server_started()
        looked
        >>> at_server_start(None)
    """
    global _begin  # noqa: PLW0603 - one process, one configuration
    _begin = begin


def server_started() -> None:
    """A server has started."""
    if _begin is not None:
        _begin()


def at_server_stop(deliver: Callable[[float], object] | None, seconds: float = 0.0) -> None:
    """Call that whenever a server has stopped; None for nothing any more.

    Args:
        deliver: delivers what there is; given the seconds that it may take.
        seconds: after which it is not waited for any longer.

    Example:
        >>> at_server_stop(lambda seconds: print("delivered"), 2.0)
        >>> server_stopped()
        delivered
        >>> at_server_stop(None)
    """
    global _deliver, _seconds
    _deliver, _seconds = deliver, seconds


def server_stopped() -> None:
    """A server has stopped: deliver, and come back when that is done or the time is over."""
    if _deliver is None:
        return
    # Its own daemon thread: whatever hangs in it can neither keep the event loop nor the process.
    thread = threading.Thread(target=_deliver, args=(_seconds,), name="mirante-server-stop", daemon=True)
    thread.start()
    thread.join(_seconds)
