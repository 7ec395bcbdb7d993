"""Tokens and sessions: made once, checked always, worthless when they should be."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirante.errors import AccessError
from mirante.server.access.sessions import LIFETIME, Sessions
from mirante.server.access.tokens import TokenStore
from mirante.testing.clock import FakeClock


def test_a_token_is_known_by_its_text_and_kept_as_a_hash(tmp_path: Path) -> None:
    """The file has no secret in it and belongs to its owner; another process that opens it knows the token too."""
    text = TokenStore(tmp_path).create("grafana", ["write", "read"])
    file = tmp_path / "access.json"
    assert text.split("_", 2)[2] not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    found = TokenStore(tmp_path).identify(text)
    assert found is not None
    assert (found.name, sorted(found.rights)) == ("grafana", ["read", "write"])
    assert found.may("read")
    assert not found.may("admin")


@given(text=st.text(max_size=80))
def test_what_is_no_token_is_nobodys(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whatever is sent."""
    store = TokenStore(tmp_path_factory.getbasetemp() / "nobody")
    if not store.known():
        store.create("somebody", ["admin"])
    assert store.identify(text) is None
    (token,) = store.known()
    assert store.identify(f"mir_{token.id}_{text}") is None


def test_a_revoked_token_is_worthless_at_once_for_every_process(tmp_path: Path) -> None:
    """The server looks at the file again when the command line has changed it."""
    server, console = TokenStore(tmp_path), TokenStore(tmp_path)
    text, other = server.create("a", ["read"]), server.create("b", ["read"])
    (first, second) = console.known()
    assert console.revoke(first.id).name == "a"
    assert server.identify(text) is None
    assert server.identify(other) is not None
    assert [token.id for token in server.known()] == [second.id]
    with pytest.raises(AccessError, match="there is no token"):
        console.revoke(first.id)


def test_a_token_expires(tmp_path: Path) -> None:
    """To the second."""
    clock = FakeClock()
    store = TokenStore(tmp_path, clock)
    text = store.create("a", ["read"], seconds=60)
    clock.advance(59)
    assert store.identify(text) is not None
    clock.advance(1)
    assert store.identify(text) is None


@pytest.mark.parametrize("rights", [[], ["root"], ["read", "everything"]])
def test_only_known_rights_are_given(tmp_path: Path, rights: list[str]) -> None:
    """The message names them."""
    with pytest.raises(AccessError, match="read, write, configure, admin"):
        TokenStore(tmp_path).create("a", rights)


@pytest.mark.parametrize("content", ["", "{}", '{"key": "x", "tokens": []}', '{"key": "", "tokens": [{"id": 1}]}'])
def test_a_broken_file_lets_nobody_in(tmp_path: Path, content: str) -> None:
    """It is an error that names the file, not an empty list."""
    (tmp_path / "access.json").write_text(content)
    with pytest.raises(AccessError, match="access.json cannot be read"):
        TokenStore(tmp_path).identify("mir_a_b")


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """With the reason; so is a place where there can be no file."""
    (tmp_path / f"access.json.{os.getpid()}.tmp").mkdir()
    with pytest.raises(AccessError, match="access.json cannot be written: Is a directory"):
        TokenStore(tmp_path).create("a", ["read"])
    (tmp_path / "file").touch()
    with pytest.raises(AccessError, match="cannot be read"):
        TokenStore(tmp_path / "file").create("a", ["read"])


def test_a_session_survives_a_restart_and_ends_with_its_token(tmp_path: Path) -> None:
    """Nothing is kept but the key; a week later the page asks again."""
    clock = FakeClock()
    store = TokenStore(tmp_path, clock)
    identity = store.identify(store.create("me", ["read"]))
    assert identity is not None
    cookie = Sessions(store, clock).begin(identity)
    later = TokenStore(tmp_path, clock)
    found = Sessions(later, clock).identify(cookie)
    assert found is not None
    assert (found.name, sorted(found.rights)) == ("me", ["read"])
    later.revoke(identity.token_id)
    assert Sessions(store, clock).identify(cookie) is None


def test_a_session_ends_after_a_week(tmp_path: Path) -> None:
    """Also the one that began with the printed link."""
    clock = FakeClock()
    sessions = Sessions(TokenStore(tmp_path), clock)
    identity = sessions.redeem(sessions.new_code())
    assert identity is not None
    cookie = sessions.begin(identity)
    found = sessions.identify(cookie)
    assert found is not None
    assert found.may("admin")
    clock.advance(LIFETIME)
    assert sessions.identify(cookie) is None


@given(where=st.integers(0, 60), letter=st.sampled_from("abcXYZ019._-"))
def test_a_changed_session_is_none(where: int, letter: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whatever character somebody changes."""
    store = TokenStore(tmp_path_factory.getbasetemp() / "changed")
    sessions = Sessions(store)
    identity = sessions.redeem(sessions.new_code())
    assert identity is not None
    cookie = sessions.begin(identity)
    changed = cookie[:where] + letter + cookie[where + 1 :]
    assert (sessions.identify(changed) is None) == (changed != cookie)


def test_the_printed_code_opens_once(tmp_path: Path) -> None:
    """A newer one takes its place; none is no code at all."""
    sessions = Sessions(TokenStore(tmp_path))
    assert sessions.redeem("") is None
    first = sessions.new_code()
    second = sessions.new_code()
    assert sessions.redeem(first) is None
    assert sessions.redeem(second) is not None
    assert sessions.redeem(second) is None
