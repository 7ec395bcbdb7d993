"""Expressions themselves rather than their values: layout and tree.

Source: prometheus.io, "HTTP API", sections "Formatting query expressions" and "Parsing a PromQL expressions into a
abstract syntax tree".
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from mirante.errors import BadRequestError
from mirante.server.api.envelope import enveloped, success_json
from mirante.server.api.parameters import Parameters
from mirante.server.promql.syntax import layout, tree


def routes() -> list[BaseRoute]:
    """``/api/v1/format_query`` and ``/api/v1/parse_query``."""
    both = ["GET", "POST"]
    return [
        Route("/api/v1/format_query", enveloped(_format), methods=both),
        Route("/api/v1/parse_query", enveloped(_parse), methods=both),
    ]


async def _format(request: Request) -> Response:
    return success_json(layout(expression_of(await Parameters.of(request))))


async def _parse(request: Request) -> Response:
    return success_json(tree(expression_of(await Parameters.of(request))))


def expression_of(given: Parameters) -> str:
    """The ``query`` parameter.

    Raises:
        BadRequestError: it is missing or empty.
    """
    expression = given.text("query")
    if not expression.strip():
        raise BadRequestError('invalid parameter "query": it is missing or empty')
    return expression
