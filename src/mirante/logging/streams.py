"""Lines on standard error or standard output."""

from __future__ import annotations

import os
import re
import sys
import threading
from io import TextIOWrapper
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
        name: the stream's.
        dropped: lines that the stream did not take, such as after it was closed.
    """

    def __init__(self, stream: Literal["stderr", "stdout"], formatter: Formatter) -> None:
        self.name: str = stream
        self._stdout = stream == "stdout"
        self._format = formatter.__call__  # bound once, for a cheaper call
        self._known: tuple[TextIO | None, int] = (None, -1)  # a stream and the descriptor that may be written to
        self.after_fork()
        watch(self)

    def after_fork(self) -> None:
        """A lock that another thread held when the process forked is held for ever."""
        # Reentrant, because a signal handler or a finalizer may log in the middle of a line.
        self._lock = threading.RLock()
        self.dropped = 0

    def __call__(self, line: LogLine) -> None:
        """Write one line."""
        stream: TextIO | None = sys.stdout if self._stdout else sys.stderr
        if stream is None:  # a process without a console
            return
        text = self._format(line) + "\n"
        lock = self._lock
        lock.acquire()  # for half the price of a with statement
        try:
            known, fd = self._known
            if known is not stream:
                fd = _descriptor(stream)
                self._known = stream, fd
            stream.flush()  # what was printed before stays before; and raises if closed: its number may be reused
            if fd < 0:
                _write(stream, text)
            else:
                data = text.encode("utf-8", "backslashreplace")
                while (written := os.write(fd, data)) < len(data):
                    data = data[written:]
        except (OSError, ValueError, RuntimeError):
            # Closed, a broken pipe, or interrupted in the middle by a signal handler that logs: nobody to tell it to.
            self.dropped += 1
        finally:
            lock.release()


def _descriptor(stream: TextIO) -> int:
    """Where the stream's bytes go, if they go there unchanged and as UTF-8: half the price of the stream's layers."""
    if type(stream) is not TextIOWrapper or stream.encoding.lower().replace("-", "") != "utf8" or os.name == "nt":
        return -1
    try:
        return stream.fileno()
    except OSError:  # in memory
        return -1


def _write(stream: TextIO, text: str) -> None:
    try:
        stream.write(text)
    except UnicodeEncodeError:
        stream.write(_ascii(text))
    stream.flush()


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
