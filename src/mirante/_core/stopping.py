"""The moment at which a server of this process has stopped.

Some servers end their process by a signal right after it, which ``atexit`` does not see: uvicorn does. So this is the
last chance to deliver what there is; but the process may also go on, as one does whose tests start servers.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

_deliver: Callable[[float], object] | None = None
_seconds = 0.0


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
