"""One daemon thread that runs a function again and again, survives fork and leaves within a deadline."""

from __future__ import annotations

import threading
from collections.abc import Callable

from mirante._core.guard import REPORTER


class Periodic:
    """Runs ``function`` soon after start, then every ``interval`` seconds, and once more when it is stopped.

    Args:
        name: the thread's name, seen in debuggers and in fault reports.
        function: what to run; an exception from it is reported and the next run happens as usual.
        interval: seconds between two runs.
        first: seconds until the first run.
    """

    def __init__(self, name: str, function: Callable[[], None], interval: float, *, first: float = 1.0) -> None:
        self._name = name
        self._function = function
        self._interval = interval
        self._first = first
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread; does nothing when it runs already."""
        if self._thread is not None:
            return
        self._stopping = threading.Event()  # a new one: after a fork the old one may have been copied while locked
        self._thread = threading.Thread(target=self._run, args=(self._stopping,), name=self._name, daemon=True)
        self._thread.start()

    def stop(self, timeout: float) -> bool:
        """Run the function a last time and end the thread, waiting at most ``timeout`` seconds.

        Returns:
            Whether it ended in time. A daemon thread that did not cannot keep the process alive.
        """
        thread, self._thread = self._thread, None
        if thread is None:
            return True
        self._stopping.set()
        thread.join(timeout)
        return not thread.is_alive()

    def _run(self, stopping: threading.Event) -> None:
        wait = self._first
        while not stopping.wait(wait):
            self._once()
            wait = self._interval
        self._once()

    def _once(self) -> None:
        try:
            self._function()
        except Exception as error:  # noqa: BLE001 - the thread outlives any fault of what it runs
            REPORTER.fault(self._name, error)

    def after_fork(self) -> None:
        """Start again in a forked child, where the thread did not come along."""
        if self._thread is not None:
            self._thread = None
            self.start()
