"""One daemon thread that runs a function again and again, and leaves within a deadline."""

from __future__ import annotations

import threading
from collections.abc import Callable

from mirante._core.guard import REPORTER


class Periodic:
    """Runs ``function`` soon after start, then every ``interval`` seconds, and once more when stopped. Starts once.

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
        self._final = True
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread; does nothing when it runs already."""
        if self._thread is not None:
            return
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        self._thread.start()

    def ask_to_stop(self, *, final: bool = True) -> None:
        """Let the thread end without waiting for it, after a last run if ``final``."""
        self._final = final
        self._stopping.set()

    def stop(self, timeout: float, *, final: bool = True) -> bool:
        """End the thread, waiting at most ``timeout`` seconds, after a last run if ``final``.

        Returns:
            Whether it ended in time. A daemon thread that did not cannot keep the process alive.
        """
        thread, self._thread = self._thread, None
        if thread is None:
            return True
        self.ask_to_stop(final=final)
        thread.join(timeout)
        return not thread.is_alive()

    def _run(self) -> None:
        wait = self._first
        while not self._stopping.wait(wait):
            self._once()
            wait = self._interval
        if self._final:
            self._once()

    def _once(self) -> None:
        try:
            self._function()
        except Exception as error:  # noqa: BLE001 - the thread outlives any fault of what it runs
            REPORTER.fault(self._name, error)
