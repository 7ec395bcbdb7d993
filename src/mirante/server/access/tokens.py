"""Tokens: made once, shown once, kept as hashes.

A token is ``mir_<id>_<secret>``. The secret has 256 random bits, so that a plain SHA-256 of it cannot be guessed back;
the file ``access.json`` holds only that, readable by its owner alone.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import threading
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from mirante._core.clock import SYSTEM_CLOCK, Clock
from mirante._core.files import replace_file
from mirante.errors import AccessError

Right = Literal["read", "write", "configure", "admin"]
RIGHTS: tuple[Right, ...] = ("read", "write", "configure", "admin")

_FILE = "access.json"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who asks.

    Attributes:
        name: of the token, for the access log and for limits.
        rights: what it may do; ``admin`` includes the others.
        token_id: which token it was, empty where none was needed.
    """

    name: str
    rights: frozenset[str]
    token_id: str = ""

    def may(self, right: Right) -> bool:
        """Whether it has the right.

        Example:
            >>> Identity("grafana", frozenset({"read"})).may("write")
            False
        """
        return right in self.rights or "admin" in self.rights


@dataclass(frozen=True, slots=True)
class Token:
    """What is kept of a token.

    Attributes:
        id: names it, in the token itself and on the command line.
        name: whom it was made for.
        rights: what it may do.
        digest: hexadecimal SHA-256 of the secret.
        created: seconds since the epoch.
        expires: seconds since the epoch, or None.
    """

    id: str
    name: str
    rights: tuple[str, ...]
    digest: str
    created: int
    expires: int | None = None


class TokenStore:
    """The tokens of a data directory. What another process writes there counts from the next request on.

    Args:
        data: the server's data directory.
        clock: what time it is.

    Example:
        >>> import tempfile
        >>> store = TokenStore(Path(tempfile.mkdtemp()))
        >>> text = store.create("grafana", ["read"])
        >>> store.identify(text).name, store.identify(text + "x")
        ('grafana', None)
    """

    def __init__(self, data: Path, clock: Clock = SYSTEM_CLOCK) -> None:
        self._path = data / _FILE
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: tuple[int, int] | None = None
        self._tokens: dict[str, Token] = {}
        self._key = b""

    def create(self, name: str, rights: Iterable[str], *, seconds: float | None = None) -> str:
        """Make a token.

        Args:
            name: whom it is for.
            rights: of ``read``, ``write``, ``configure``, ``admin``.
            seconds: after which it expires; never when not given.

        Returns:
            The token: it is not kept and cannot be shown again.

        Raises:
            AccessError: a right is unknown, or the file cannot be written.
        """
        wanted = tuple(right for right in RIGHTS if right in set(rights))
        if not wanted or len(wanted) != len(set(rights)):
            raise AccessError(f"rights are some of {', '.join(RIGHTS)}, not {', '.join(sorted(rights)) or 'nothing'}")
        identifier, secret = secrets.token_hex(4), secrets.token_urlsafe(32)
        now = self._now()
        expires = None if seconds is None else now + int(seconds)
        with self._lock:
            self._read()
            self._tokens[identifier] = Token(identifier, name, wanted, _digest(secret), now, expires)
            self._write()
        return f"mir_{identifier}_{secret}"

    def revoke(self, identifier: str) -> Token:
        """Make a token worthless from now on.

        Raises:
            AccessError: there is none of that id, or the file cannot be written.
        """
        with self._lock:
            self._read()
            found = self._tokens.pop(identifier, None)
            if found is None:
                raise AccessError(f"there is no token {identifier!r}; `mirante token list` shows them")
            self._write()
        return found

    def known(self) -> list[Token]:
        """All tokens, oldest first."""
        with self._lock:
            self._read()
            return sorted(self._tokens.values(), key=lambda token: token.created)

    def identify(self, text: str) -> Identity | None:
        """Whose token that is, or None where it is worthless. Takes as long for a wrong secret as for a right one."""
        kind, _, rest = text.partition("_")
        identifier, _, secret = rest.partition("_")
        token = self.get(identifier)
        digest = token.digest if token else _digest("")
        good = hmac.compare_digest(_digest(secret), digest)
        if kind != "mir" or not good or token is None:
            return None
        return Identity(token.name, frozenset(token.rights), token.id)

    def get(self, identifier: str) -> Token | None:
        """The token of that id, unless it is revoked or has expired."""
        with self._lock:
            self._read()
            token = self._tokens.get(identifier)
        if token is None or (token.expires is not None and token.expires <= self._now()):
            return None
        return token

    def key(self) -> bytes:
        """What sessions are signed with: made at first use, the same after a restart."""
        with self._lock:
            self._read()
            if not self._key:
                self._key = secrets.token_bytes(32)
                self._write()
            return self._key

    def _now(self) -> int:
        return self._clock.time_ns() // 1_000_000_000

    def _read(self) -> None:
        try:
            found = self._path.stat()
            stamp = (found.st_mtime_ns, found.st_ino)
            if stamp == self._seen:
                return
            content: dict[str, Any] = json.loads(self._path.read_bytes())
            tokens = [Token(**{**one, "rights": tuple(one["rights"])}) for one in content["tokens"]]
            self._key = bytes.fromhex(content["key"])
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise AccessError(f"{self._path} cannot be read: {error}; restore it, or remove it to begin anew") from None
        self._tokens = {token.id: token for token in tokens}
        self._seen = stamp

    def _write(self) -> None:
        content = {"key": self._key.hex(), "tokens": [asdict(token) for token in self._tokens.values()]}
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(self._path, json.dumps(content, indent=1), mode=0o600)
        except OSError as error:
            raise AccessError(f"{self._path} cannot be written: {error.strerror}") from None
        found = self._path.stat()
        self._seen = (found.st_mtime_ns, found.st_ino)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def anonymous(name: str) -> Identity:
    """Somebody where no token is asked for; may do everything."""
    return replace(_ANYBODY, name=name)


_ANYBODY = Identity("anonymous", frozenset({"admin"}))
