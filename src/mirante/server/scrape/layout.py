"""The shape of a page: one scrape differs from the next mostly in its numbers.

While comments and series stand where they stood, nothing needs to be looked up: the page is taken apart by the masks of
the last one and compared with it, in a few passes that run in C.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress, repeat

Split = tuple[bytes, bytes, bytes]
"""A sample line cut at its last space: series, space, value."""


class Layout:
    """A page that had only comments, blank lines and plain samples, no series twice.

    Attributes:
        comments: its comment lines.
        heads: encoded labels of the samples that relabeling kept, in the order of their lines.
        live: the same as a set.
        scraped: how many samples it had.
    """

    def __init__(
        self, lines: Sequence[bytes], comments: list[bytes], splits: Sequence[Split], heads: Sequence[bytes | None]
    ) -> None:
        self.comments = comments
        self.heads = [head for head in heads if head]
        self.live = set(self.heads)
        self.scraped = len(splits)
        self._lines = len(lines)
        # Masks are bytes, an eighth of a list; what all targets of a kind share is not held once more.
        self._is_sample = bytes(line[:1] not in b"#" for line in lines)  # b"" is in every bytes
        self._is_other = bytes(not is_sample for is_sample in self._is_sample)
        others = list(compress(lines, self._is_other))
        self._others = comments if others == comments else others
        self._is_kept = bytes(bool(head) for head in heads)
        self._series = tuple(series for series, _, _ in splits)

    def values(self, lines: Sequence[bytes]) -> list[bytes] | None:
        """The texts of the kept samples' values; None when the page has another layout."""
        if len(lines) != self._lines or list(compress(lines, self._is_other)) != self._others:
            return None
        splits = map(bytes.rpartition, compress(lines, self._is_sample), repeat(b" "))
        series, _, values = zip(*splits, strict=True)
        return list(compress(values, self._is_kept)) if series == self._series else None
