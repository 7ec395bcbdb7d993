"""Calls a function when a module has been imported: now, or whenever the program comes to it.

The waiting is done by a finder at the head of ``sys.meta_path``, which is there only while something is waited for. It
leaves finding and loading to the others: a module's ``__spec__`` and ``__loader__`` are what they are without it.
"""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from mirante._core.fork import watch
from mirante._core.guard import REPORTER

Hook = Callable[[], None]


def when_imported(module: str, hook: Hook) -> Callable[[], None]:
    """Call the hook once, when that module has been imported: at once if it is there already.

    What the hook raises is reported and never reaches whoever imports. It is called in the importing thread before the
    import statement goes on. After an import that failed the next one is waited for. Where the module is loaded by
    something that knows only the ``load_module`` of old Pythons, the hook is not called.

    Args:
        module: its full dotted name.
        hook: what to call; the same one may wait for one module once only.

    Returns:
        What ends the waiting; after the hook was called, it does nothing.

    Example:
        >>> cancel = when_imported("json", lambda: print("json is here"))
        json is here
    """
    _FINDER.add(module, hook)
    if module in sys.modules:
        importlib.import_module(module)  # waits while another thread is in the middle of it
        _FINDER.tell(module)
    return lambda: _FINDER.cancel(module, hook)


class _Finder(MetaPathFinder):
    """Lets the other finders find, and puts a loader that tells around theirs."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[Hook]] = {}
        self._asking = threading.local()
        self.after_fork()
        watch(self)

    def after_fork(self) -> None:
        """A child must not wait for a lock that a thread of its parent held."""
        self._lock = threading.Lock()

    def add(self, module: str, hook: Hook) -> None:
        with self._lock:
            self._waiting.setdefault(module, []).append(hook)
            if self not in sys.meta_path:
                sys.meta_path.insert(0, self)

    def cancel(self, module: str, hook: Hook) -> None:
        with self._lock:
            hooks = self._waiting.get(module, [])
            if hook in hooks:
                hooks.remove(hook)
            if not hooks:
                self._waiting.pop(module, None)
            self._rest()

    def tell(self, module: str) -> None:
        """Call the hooks of a module that is there now; none of them twice, whichever threads come by."""
        with self._lock:
            hooks = self._waiting.pop(module, [])
            self._rest()
        for hook in hooks:
            try:
                hook()
            except Exception as error:  # noqa: BLE001 - telemetry never raises into the host
                REPORTER.fault(f"after the import of {module}", error)

    def _rest(self) -> None:
        if not self._waiting:
            # A new list: another thread that walks the old one would miss a finder if ours were taken out of it.
            sys.meta_path = [finder for finder in sys.meta_path if finder is not self]

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self._waiting:
            return None
        asking: set[str] = self._asking.__dict__.setdefault("names", set())
        if fullname in asking:
            return None
        asking.add(fullname)  # a finder that asks all the others, this one among them, must not make us go in circles
        try:
            spec = self._found(fullname, path, target)
        finally:
            asking.discard(fullname)
        if spec is not None and hasattr(spec.loader, "exec_module"):
            spec.loader = _TellingLoader(spec.loader)
        return spec

    def _found(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None) -> ModuleSpec | None:
        for finder in sys.meta_path:
            if finder is not self and (spec := finder.find_spec(fullname, path, target)) is not None:
                return spec
        return None


class _TellingLoader(Loader):
    """Stands around another loader until the module is executed: puts that one in its place before, and tells after."""

    def __init__(self, loader: Any) -> None:  # noqa: ANN401 - whatever a finder gives
        self._loader = loader

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the loader has
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        created: ModuleType | None = self._loader.create_module(spec)
        return created

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        _FINDER.tell(module.__name__)


_FINDER = _Finder()
