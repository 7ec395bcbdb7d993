"""Other people's functions are replaced, and put back as they were."""

from __future__ import annotations

import inspect
import os
import types
from typing import Any

import pytest

from mirante._core.guard import REPORTER
from mirante._core.patch import Patches


class Base:
    """What a library may have."""

    def plain(self, number: int = 1) -> int:
        """Its docstring."""
        return number

    @staticmethod
    def static(number: int) -> int:
        return number

    @classmethod
    def made(cls, number: int) -> tuple[type, int]:
        return cls, number


class Derived(Base):
    """Inherits all of it."""


def plus_one(original: Any) -> Any:
    """A replacement for a method that adds one to its last argument."""

    def call(*args: Any) -> Any:
        return original(*args[:-1], args[-1] + 1)

    return call


@pytest.mark.parametrize("owner", [Base, Derived])
def test_methods_of_every_kind_are_replaced_and_put_back_as_the_same_objects(owner: Any) -> None:
    """Plain, static and class methods, of the class itself and inherited: the namespace is what it was."""
    before = dict(vars(owner))
    patches = Patches()
    for name in ("plain", "static", "made"):
        patches.wrap(owner, name, plus_one)
    assert owner().plain(1) == 2
    assert owner.static(1) == owner().static(1) == 2
    assert owner.made(1) == owner().made(1) == (owner, 2)
    assert bool(patches)
    patches.undo()
    assert not patches
    assert {name: vars(owner).get(name) for name in before} == before
    assert vars(owner).keys() == before.keys()


def test_wrapping_and_undoing_twice_does_what_once_does() -> None:
    """Idempotent both ways."""
    patches = Patches()
    original = Base.plain
    patches.wrap(Base, "plain", plus_one)
    patches.wrap(Base, "plain", plus_one)
    assert Base().plain(1) == 2
    patches.undo()
    patches.undo()
    assert Base.plain is original


def test_the_replacement_looks_like_the_original() -> None:
    """Name, docstring and signature stay, for frameworks that look at them."""
    patches = Patches()
    signature = inspect.signature(Base.plain)
    patches.wrap(Base, "plain", plus_one)
    assert (Base.plain.__name__, Base.plain.__doc__) == ("plain", "Its docstring.")
    assert inspect.signature(Base.plain) == signature
    patches.undo()


def test_functions_of_modules_and_methods_of_one_object() -> None:
    """A module's function, and a bound method of a single object, of which others of its class know nothing."""
    module = types.ModuleType("somewhere")
    module.__dict__["double"] = lambda number: 2 * number
    one, other = Base(), Base()
    patches = Patches()
    patches.wrap(module, "double", plus_one)
    patches.wrap(one, "plain", plus_one)
    assert (module.double(1), one.plain(1), other.plain(1)) == (4, 2, 1)
    patches.undo()
    assert (module.double(1), vars(one)) == (2, {})


def test_a_replacement_that_is_no_function_is_taken_as_it_is() -> None:
    """Classes and other objects can be replaced too."""
    module = types.ModuleType("somewhere")
    module.__dict__["limit"] = 1
    patches = Patches()
    patches.wrap(module, "limit", lambda limit: limit + 1)
    assert module.limit == 2
    patches.undo()
    assert module.limit == 1


def test_what_others_have_wrapped_over_ours_stays() -> None:
    """Undoing leaves theirs working and tells; wrapping again does not double ours; it goes when theirs has gone."""
    patches = Patches()
    original = Base.plain
    patches.wrap(Base, "plain", plus_one)
    ours = Base.plain
    Base.plain = plus_one(ours)  # type: ignore[method-assign] # as another library would do it
    told = REPORTER.counts.get("integrations", 0)
    patches.undo()
    assert REPORTER.counts["integrations"] == told + 1
    patches.wrap(Base, "plain", plus_one)
    assert Base().plain(1) == 3
    Base.plain = ours  # type: ignore[method-assign] # and as it would undo it
    patches.undo()
    assert Base.plain is original


def test_an_unknown_name_raises_where_it_is_written() -> None:
    """A library that has lost a function is told by its name, and nothing is left behind."""
    patches = Patches()
    with pytest.raises(AttributeError, match="gone"):
        patches.wrap(Base, "gone", plus_one)
    assert not patches


def test_a_forked_child_can_undo() -> None:
    """A lock that another thread of the parent held at that moment is no child's concern."""
    patches = Patches()
    patches.wrap(Base, "plain", plus_one)
    held = patches._lock
    with held:
        child = os.fork()
        if child == 0:
            patches.undo()
            os._exit(Base().plain(1))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
        patches.after_fork()  # what the child did, here where it can be measured
    patches.undo()
    assert Base().plain(1) == 1
