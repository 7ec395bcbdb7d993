"""Sessions of the page: a signed cookie, so that nothing is kept and a restart ends none."""

from __future__ import annotations

import base64
import hmac
import secrets
import threading

from mirante._core.clock import SYSTEM_CLOCK, Clock
from mirante.server.access.tokens import Identity, TokenStore

COOKIE = "mirante_session"
LIFETIME = 7 * 86_400
"""Seconds after which the page asks again."""

_CONSOLE = "console"
"""Stands in a session's place for a token where it began with the link that was printed at the start."""


class Sessions:
    """Makes and checks the cookie's value, and hands out the one-time code of the printed link.

    Args:
        tokens: whose signing key is used, and whose tokens a session needs for as long as it lives.
        clock: what time it is.

    Example:
        >>> import pathlib, tempfile
        >>> store = TokenStore(pathlib.Path(tempfile.mkdtemp()))
        >>> sessions = Sessions(store)
        >>> cookie = sessions.begin(store.identify(store.create("me", ["read"])))
        >>> sessions.identify(cookie).name, sessions.identify("x" + cookie)
        ('me', None)
    """

    def __init__(self, tokens: TokenStore, clock: Clock = SYSTEM_CLOCK) -> None:
        self._tokens = tokens
        self._clock = clock
        self._lock = threading.Lock()
        self._code: str | None = None

    def begin(self, identity: Identity) -> str:
        """The cookie's value for who has just shown a token or the code."""
        expires = self._clock.time_ns() // 1_000_000_000 + LIFETIME
        content = f"{identity.token_id or _CONSOLE}.{expires}"
        return f"{content}.{self._sign(content)}"

    def identify(self, cookie: str) -> Identity | None:
        """Whose session that is, or None where it is forged, over, or its token worthless by now."""
        content, _, signature = cookie.rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._sign(content).encode()):
            return None
        token_id, _, expires = content.partition(".")
        if int(expires) <= self._clock.time_ns() // 1_000_000_000:
            return None
        if token_id == _CONSOLE:
            return Identity(_CONSOLE, frozenset({"admin"}))
        token = self._tokens.get(token_id)
        return None if token is None else Identity(token.name, frozenset(token.rights), token.id)

    def new_code(self) -> str:
        """A code that opens one session with every right; an earlier one is worthless from now on."""
        with self._lock:
            self._code = secrets.token_urlsafe(24)
            return self._code

    def redeem(self, code: str) -> Identity | None:
        """Use the code up; None where it is not the one, or was used."""
        with self._lock:
            if self._code is None or not hmac.compare_digest(code.encode(), self._code.encode()):
                return None
            self._code = None
        return Identity(_CONSOLE, frozenset({"admin"}))

    def _sign(self, content: str) -> str:
        return (
            base64.urlsafe_b64encode(hmac.digest(self._tokens.key(), content.encode(), "sha256")).decode().rstrip("=")
        )
