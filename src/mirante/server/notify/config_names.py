"""Names that other parts of a file refer to."""

from __future__ import annotations

import difflib
from collections.abc import Collection
from dataclasses import dataclass

from mirante.server.notify import config_values as read
from mirante.server.yaml_reader import Value


@dataclass(frozen=True, slots=True)
class Names:
    """The names of one kind of thing.

    Attributes:
        what: they name, for complaints.
        known: those that are defined.
    """

    what: str
    known: Collection[str]

    def one(self, value: Value) -> str:
        """A name; the empty text refers to nothing."""
        name = read.text(value)
        if name and name not in self.known:
            close = difflib.get_close_matches(name, self.known, n=1)
            value.fail(f'undefined {self.what} "{name}"' + (f'; did you mean "{close[0]}"?' if close else ""))
        return name

    def all(self, value: Value) -> tuple[str, ...]:
        """A list of names."""
        return tuple(self.one(item) or item.fail(f"expected the name of a {self.what}") for item in value.items())
