"""A result that is already there, for functions that may be called with and without ``await``."""

from __future__ import annotations

from collections.abc import Generator


class Done:
    """Awaiting it returns None at once, without giving way to the event loop.

    Example:
        >>> import asyncio
        >>> async def main():
        ...     return await DONE
        >>> asyncio.run(main()) is None
        True
    """

    __slots__ = ()

    def __await__(self) -> Generator[None, None, None]:
        return iter(())  # type: ignore[return-value] # any iterator serves; an empty tuple's costs least

    def __repr__(self) -> str:
        return "DONE"


DONE = Done()
"""The one instance: returning it costs no allocation."""
