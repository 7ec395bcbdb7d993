"""What supervisors get from ``/livez``, ``/readyz``, ``/healthz`` and ``/startupz``."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from mirante.health import HealthChecker, HealthReporter
from tests.server.asgi import Reply, call


class World:
    """A checker with a critical database and a cache that is not, both as told."""

    def __init__(self, **options: Any) -> None:
        self.database, self.cache = True, True
        checker = HealthChecker()
        checker.check("database", critical=True)(lambda: self.database)
        checker.check("cache")(lambda: self.cache)
        self.reporter = HealthReporter(checker, **options)

    def asgi(self, path: str, method: str = "GET") -> Reply:
        return asyncio.run(call(self.reporter, method, path))

    def wsgi(self, path: str, method: str = "GET") -> tuple[str, dict[str, str], bytes]:
        said: list[Any] = []
        environ = {"PATH_INFO": path, "REQUEST_METHOD": method}
        body = b"".join(self.reporter.wsgi(environ, lambda status, headers: said.extend([status, dict(headers)])))
        return said[0], said[1], body


@pytest.mark.parametrize(
    ("database", "cache", "codes", "status"),
    [
        (True, True, {"livez": 200, "readyz": 200, "healthz": 200, "startupz": 200}, "pass"),
        (True, False, {"livez": 200, "readyz": 200, "healthz": 200, "startupz": 200}, "warn"),
        (False, True, {"livez": 200, "readyz": 503, "healthz": 503, "startupz": 503}, "fail"),
    ],
)
def test_codes_follow_the_critical_components(database: bool, cache: bool, codes: dict[str, int], status: str) -> None:
    """What is not critical degrades, and does not take the process out of service."""
    world = World()
    world.database, world.cache = database, cache
    assert {path: world.asgi(f"/{path}").status for path in codes} == codes
    assert world.asgi("/healthz").json()["status"] == status
    assert world.asgi("/readyz").headers["content-type"] == "application/health+json"


def test_startup_is_over_once_the_critical_components_were_healthy() -> None:
    """A later failure is no start."""
    world = World()
    world.database = False
    assert world.asgi("/startupz").status == 503
    world.database = True
    assert world.asgi("/startupz").status == 200
    world.database = False
    assert world.asgi("/startupz").status == 200


def test_details_are_on_healthz_alone_and_can_be_kept_from_strangers() -> None:
    """Why a component is ill is for those who run it."""
    world = World(version="1.2")
    world.cache = False
    body = world.asgi("/internal/healthz/").json()
    assert body["version"] == "1.2"
    assert body["checks"]["cache"][0]["output"] == "the check said no"
    assert body["checks"]["database"][0]["observedUnit"] == "s"
    assert "checks" not in world.asgi("/readyz").json()
    assert "output" not in World(details=False).asgi("/healthz").json()["checks"]["cache"][0]


def test_a_component_that_never_answered_has_no_time() -> None:
    """Nothing is made up."""
    checker = HealthChecker()
    checker.check("a", critical=True)(lambda: False)
    checker.check("b", depends_on=["a"])(lambda: True)
    report = HealthReporter(checker).report("/healthz")
    assert report is not None
    entry = json.loads(report.body)["checks"]["b"][0]
    assert (entry["time"], "observedValue" in entry) == (None, False)


@pytest.mark.parametrize(
    ("path", "method", "code", "empty"),
    [
        ("/healthz", "HEAD", 200, True),
        ("/healthz", "POST", 405, False),
        ("/else", "GET", 404, False),
        ("/livez", "GET", 200, False),
    ],
)
def test_asgi_and_wsgi_answer_alike(path: str, method: str, code: int, empty: bool) -> None:
    """The same codes, headers and bodies."""
    world = World()
    reply, (status, headers, body) = world.asgi(path, method), world.wsgi(path, method)
    assert reply.status == int(status[:3]) == code
    assert (reply.body == b"") == (body == b"") == empty
    assert headers["Content-Type"] == reply.headers["content-type"]
    assert headers["Cache-Control"] == "no-store"


def test_a_component_may_be_asked_without_a_path_of_ours() -> None:
    """None says that the path belongs to somebody else."""
    assert World().reporter.report("/metrics") is None
