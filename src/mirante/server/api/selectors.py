"""Selectors among a request's parameters."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass

from mirante.errors import BadQueryError, BadRequestError
from mirante.server.api.parameters import Parameters
from mirante.server.promql.parse import parse
from mirante.server.promql.plan import Selector


def selectors_of(given: Parameters, name: str = "match[]") -> list[Selector]:
    """Every selector given for the parameter.

    Raises:
        BadRequestError: one of them is wrong, or is no plain selector.
    """
    found: list[Selector] = []
    for text in given.all(name):
        try:
            plan = parse(text)
        except BadQueryError as error:
            raise BadRequestError(f'invalid parameter "{name}": {error}') from None
        if not isinstance(plan, Selector):
            raise BadRequestError(f'invalid parameter "{name}": "{text}" is no plain selector such as up{{job="x"}}')
        found.append(plan)
    return found


def selectors_in(plan: object) -> Iterator[Selector]:
    """Every selector of a checked expression, wherever in it."""
    if isinstance(plan, Selector):
        yield plan
    elif isinstance(plan, tuple):
        for one in plan:
            yield from selectors_in(one)
    elif is_dataclass(plan):
        for part in fields(plan):
            yield from selectors_in(getattr(plan, part.name))
