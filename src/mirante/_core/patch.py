"""Reversible replacement of functions on other people's classes and modules."""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable
from types import FunctionType
from typing import Any, NamedTuple

from mirante._core.fork import watch
from mirante._core.guard import REPORTER

_ABSENT = object()


class _Patch(NamedTuple):
    owner: Any
    name: str
    before: object  # what stood in the owner's own namespace, or _ABSENT where it was inherited
    ours: object

    def undo(self) -> bool:
        """Put back what was there; false where somebody else has put something over ours since."""
        if vars(self.owner).get(self.name, _ABSENT) is not self.ours:
            return False
        if self.before is _ABSENT:
            delattr(self.owner, self.name)
        else:
            setattr(self.owner, self.name, self.before)
        return True


class Patches:
    """What one integration has replaced, so that all of it can be put back. Any thread may call any method.

    Example:
        >>> class Client:
        ...     def get(self, path):
        ...         return f"GET {path}"
        >>> patches = Patches()
        >>> patches.wrap(Client, "get", lambda original: lambda self, path: original(self, path).lower())
        >>> Client().get("/Home")
        'get /home'
        >>> patches.undo()
        >>> Client().get("/Home")
        'GET /Home'
    """

    def __init__(self) -> None:
        self._done: dict[tuple[int, str], _Patch] = {}
        self._lock = threading.Lock()
        watch(self)

    def after_fork(self) -> None:
        """A child must not wait for a lock that a thread of its parent held."""
        self._lock = threading.Lock()

    def __bool__(self) -> bool:
        """Whether anything is replaced."""
        return bool(self._done)

    def wrap(self, owner: Any, name: str, wrapper: Callable[[Any], Any]) -> None:  # noqa: ANN401 - a class, module or object
        """Replace a function or method; one that these patches have replaced already stays as it is.

        Args:
            owner: the class, module or object that has it, itself or by inheritance.
            name: of the attribute.
            wrapper: is given the original, which for a static or class method is the plain function below, for an
                object that is no class or module the bound method; returns the replacement. It takes over the
                original's name, docstring and signature, and becomes a static or class method where that was one.

        Raises:
            AttributeError: the owner has nothing of that name.
        """
        with self._lock:
            key = (id(owner), name)
            if key in self._done:
                return
            before = vars(owner).get(name, _ABSENT)
            found = inspect.getattr_static(owner, name) if inspect.isclass(owner) else getattr(owner, name)
            method = type(found) if isinstance(found, staticmethod | classmethod) else None
            original = found.__func__ if method else found
            ours = wrapper(original)
            if isinstance(ours, FunctionType):
                functools.update_wrapper(ours, original)
            setattr(owner, name, method(ours) if method else ours)
            self._done[key] = _Patch(owner, name, before, vars(owner)[name])

    def undo(self) -> None:
        """Put back the very objects that were there before, last one first.

        What somebody else has wrapped over ours in the meantime stays, with ours inside it: taking ours away would take
        theirs away too.
        """
        with self._lock:
            for key, patch in reversed(list(self._done.items())):
                if patch.undo():
                    del self._done[key]
                else:
                    REPORTER.warn(
                        "integrations",
                        f"{getattr(patch.owner, '__name__', patch.owner)}.{patch.name} stays instrumented, because "
                        "somebody else has wrapped it since; take theirs away first",
                    )
