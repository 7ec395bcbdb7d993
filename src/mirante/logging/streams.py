"""Lines on standard error or standard output."""

from __future__ import annotations

import re
import sys
import threading
from typing import Literal, TextIO

from mirante._core.fork import watch
from mirante.logging.formatter import Formatter
from mirante.logging.line import LogLine


class StreamOutput:
    """Writes each line to the stream that the process has under that name at this moment.

    Args:
        stream: ``stderr`` or ``stdout``.
        formatter: turns lines into text.

    Attributes:
        dropped: lines that the stream did not take, such as after it was closed.
    """

    def __init__(self, stream: Literal["stderr", "stdout"], formatter: Formatter) -> None:
        self.dropped = 0
        self._name = stream
        self._format = formatter
        self.after_fork()
        watch(self)

    def after_fork(self) -> None:
        """A lock that another thread held when the process forked is held for ever."""
        # Reentrant, because a signal handler or a finalizer may log in the middle of a line.
        self._lock = threading.RLock()

    def __call__(self, line: LogLine) -> None:
        """Write one line."""
        stream: TextIO | None = getattr(sys, self._name)
        text = self._format(line) + "\n"
        if stream is None:  # a process without a console
            return
        try:
            with self._lock:
                try:
                    stream.write(text)
                except UnicodeEncodeError:
                    stream.write(_ascii(text))
                stream.flush()
        except (OSError, ValueError, RuntimeError):
            # Closed, a broken pipe, or interrupted in the middle by a signal handler that logs: nobody to tell it to.
            self.dropped += 1


def _ascii(text: str) -> str:
    r"""With JSON's escapes, for streams that take nothing else.

    Example:
        >>> print(_ascii("é 😀"))
        \u00e9 \ud83d\ude00
    """
    return re.sub(r"[^\x00-\x7f]", _escape, text)


def _escape(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
