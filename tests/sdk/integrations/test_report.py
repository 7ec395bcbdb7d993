"""The report names what the integrations see and nobody monitors, and says what to do about it."""

from __future__ import annotations

import gc
import importlib
import json
import logging
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import httpx
import pytest
import redis
import redis.asyncio
import requests
import sqlalchemy
from celery import Celery
from fastapi import APIRouter, FastAPI, WebSocket
from flask import Flask
from starlette.applications import Starlette
from starlette.routing import Host, Mount, Route, Router, WebSocketRoute

import mirante
from mirante._core import seen
from mirante._core.guard import REPORTER
from mirante._core.patch import Patches
from mirante._core.seen import Sighting, check_covers, has_check, see, sightings
from mirante.health import HealthChecker, checks
from mirante.integrations import inventory
from mirante.integrations.catalog import CATALOG
from mirante.integrations.libraries import PACKAGES, unmonitored
from mirante.integrations.report import Report, report
from mirante.logging.handler import PipelineHandler


@pytest.fixture(autouse=True)
def _nothing_seen_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test begins with what it makes itself."""
    for name in ("_seen", "_checked"):
        monkeypatch.setattr(seen, name, type(getattr(seen, name))())
    monkeypatch.setattr(seen, "_checked_names", set())


@pytest.fixture
def watched() -> Iterator[None]:
    """Every library's objects are noted, as they are while its integration is installed."""
    patches = Patches()
    for name in CATALOG:
        inventory.watch(name, patches)
    yield
    patches.undo()


def found(kind: str) -> dict[str, tuple[str, ...]]:
    """Names of a kind, with what they lack."""
    return {one.name: one.lacks for one in sightings() if one.kind == kind}


def endpoint(*_: object) -> None:
    """Of a route that nobody asks."""


# -- what is seen ----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("watched")
def test_routes_of_starlette_are_seen_wherever_they_are() -> None:
    """In mounts and hosts too; what the settings leave out lacks everything, a websocket its metric."""
    app = Starlette(
        routes=[
            Route("/items/{id}", endpoint, methods=["GET", "POST"]),
            Route("/healthz", endpoint),
            WebSocketRoute("/feed", endpoint),
            Mount("/shop", routes=[Route("/cart", endpoint)]),
            Host("api.example", Router(routes=[Route("/hosted", endpoint)])),
        ]
    )
    assert found("route") == {
        "GET,POST /items/{id}": (), "GET /healthz": ("metric", "span"), "GET /shop/cart": (), "GET /hosted": (),
    }  # fmt: skip
    assert found("websocket") == {"WS /feed": ("metric",)}
    del app
    gc.collect()
    assert not sightings(), "an application that is gone is gone"


@pytest.mark.usefixtures("watched")
def test_routes_of_fastapi_are_seen_with_the_prefixes_of_their_routers() -> None:
    """However deep they are included; routes that come later are seen, because they are looked up when asked."""
    inner = APIRouter(prefix="/inner")
    inner.get("/deep")(lambda: None)
    outer = APIRouter(prefix="/v1")
    outer.get("/items/{id}")(lambda: None)

    @outer.websocket("/feed")
    async def feed(socket: WebSocket) -> None: ...

    outer.include_router(inner)
    app = FastAPI(openapi_url=None)
    app.include_router(outer, prefix="/api")
    app.post("/late")(lambda: None)
    assert set(found("route")) == {"GET /api/v1/items/{id}", "GET /api/v1/inner/deep", "POST /late"}
    assert set(found("websocket")) == {"WS /api/v1/feed"}


@pytest.mark.usefixtures("watched")
def test_routes_of_flask_are_seen() -> None:
    """Its rules, with the methods that somebody declared."""
    app = Flask("shop")
    app.add_url_rule("/items/<int:id>", view_func=lambda: "", methods=["GET", "DELETE"])
    assert found("route") == {"GET /static/<path:filename>": (), "DELETE,GET /items/<int:id>": ()}


@pytest.mark.usefixtures("watched")
def test_routes_of_django_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Included patterns too, once there is something that serves them."""
    # Django ships no type information.
    django, conf, urls = (importlib.import_module(f"django{part}") for part in ("", ".conf", ".urls"))
    root: Any = ModuleType("report_urls")
    root.urlpatterns = [
        urls.path("items/<int:id>/", endpoint),
        urls.path("shop/", urls.include([urls.re_path(r"^cart$", endpoint)])),
    ]
    monkeypatch.setitem(sys.modules, "report_urls", root)
    if not conf.settings.configured:
        conf.settings.configure()
    django.setup()
    monkeypatch.setattr(conf.settings, "ROOT_URLCONF", "report_urls", raising=False)
    handler = importlib.import_module("django.core.handlers.wsgi").WSGIHandler()
    assert found("route") == {"* /items/<int:id>/": (), "* /shop/cart": ()}
    del handler


@pytest.mark.usefixtures("watched")
def test_databases_lack_a_check_until_one_looks_at_them() -> None:
    """A ready-made one, or one that has their name in the report."""
    one, two = sqlalchemy.create_engine("sqlite:///one.db"), sqlalchemy.create_engine("sqlite:///two.db")
    assert found("database") == {"sqlite:///one.db": ("check",), "sqlite:///two.db": ("check",)}
    HealthChecker().check("one")(checks.sqlalchemy(one))
    HealthChecker().check("sqlite:///two.db")(lambda: True)
    assert found("database") == {"sqlite:///one.db": (), "sqlite:///two.db": ()}
    two.dispose()


@pytest.mark.usefixtures("watched")
def test_an_asynchronous_engine_is_the_one_inside_it() -> None:
    """SQLAlchemy's is a shell around a plain one."""

    class Shell:
        sync_engine = sqlalchemy.create_engine("sqlite:///four.db")

    check_covers(Shell())
    assert found("database") == {"sqlite:///four.db": ()}


@pytest.mark.usefixtures("watched")
def test_redis_lacks_a_check_until_one_looks_at_it() -> None:
    """By address and database, the asynchronous clients too; sockets and clusters as far as the client was told."""
    plain = redis.Redis(host="cache", port=6380, db=2)
    there = redis.asyncio.Redis()
    socket = redis.Redis(unix_socket_path="/run/redis.sock")
    assert found("redis") == {
        "cache:6380/2": ("check",), "localhost:6379/0": ("check",), "/run/redis.sock/0": ("check",),
    }  # fmt: skip
    checks.redis(plain)
    assert found("redis")["cache:6380/2"] == ()
    del there, socket


class OwnAdapter(requests.adapters.BaseAdapter):
    """Sends by other means."""


class ToApplication(httpx.MockTransport):
    """As Starlette's client for tests has it."""

    __module__ = "starlette.testclient"


@pytest.mark.usefixtures("watched")
def test_http_clients_with_transports_of_their_own_are_not_recorded() -> None:
    """Unless somebody has asked for it; usual ones need no word."""
    own = httpx.MockTransport(lambda _: httpx.Response(204))
    by_hand = httpx.Client(transport=own)
    importlib.import_module("mirante.integrations.httpx").instrument(by_hand)
    usual = httpx.Client(mounts={"all://nowhere": None})
    in_a_test = httpx.Client(transport=ToApplication(lambda _: httpx.Response(204)))
    session = requests.Session()
    assert found("http client") == {}
    client = httpx.AsyncClient(transport=own)
    session.mount("own://", OwnAdapter())
    assert found("http client") == {
        "httpx with MockTransport": ("metric", "span"), "requests with OwnAdapter": ("metric", "span"),
    }  # fmt: skip
    del by_hand, usual, in_a_test, client


@pytest.mark.usefixtures("watched")
def test_scheduled_tasks_lack_a_check_that_they_run() -> None:
    """Nobody notices when a schedule stops; a check of the task's name, or of the schedule's, is one."""
    app = Celery("shop")
    app.task(name="shop.export")(endpoint)
    assert not sightings(), "asking must not finish an application that is being set up"
    app.conf.beat_schedule = {
        "nightly": {"task": "shop.export", "schedule": 3600},
        "weekly": {"task": "shop.export", "schedule": 7 * 86_400},
    }
    app.finalize()
    HealthChecker().check("weekly")(lambda: True)
    assert found("task") == {"shop.export": ()}
    assert found("scheduled task") == {"nightly": ("check",), "weekly": ()}


# -- how it is remembered --------------------------------------------------------------------------------------------


def test_what_cannot_be_referred_to_is_passed_over() -> None:
    """Things without a hash, and things that take no weak reference."""
    see([], lambda _: [Sighting("list", "x")])
    see(7, lambda _: [Sighting("number", "7")])
    check_covers([])
    assert not sightings()
    assert not has_check([])
    assert not has_check("never declared")


def test_a_description_that_fails_is_reported_and_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """It looks into other people's objects; the others are described all the same."""
    faults: list[str] = []
    monkeypatch.setattr(REPORTER, "fault", lambda where, error: faults.append(f"{where}: {error}"))

    class Thing: ...

    def broken(_: object) -> list[Sighting]:
        raise RuntimeError("changed since")

    one, two = Thing(), Thing()
    see(one, broken)
    see(two, lambda _: [Sighting("thing", "two")])
    assert sightings() == [Sighting("thing", "two")]
    assert faults == ["the report of what is not monitored: Thing: changed since"]


def test_watching_is_undone() -> None:
    """The classes are what they were."""
    before = Starlette.__init__
    patches = Patches()
    inventory.watch("starlette", patches)
    inventory.watch("asyncio", patches)  # about nothing that could be noted
    assert Starlette.__init__ is not before
    patches.undo()
    assert Starlette.__init__ is before


# -- libraries -------------------------------------------------------------------------------------------------------


@pytest.fixture
def libraries(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """None of the known ones is imported."""
    for name in PACKAGES:
        monkeypatch.delitem(sys.modules, name, raising=False)
    return monkeypatch


def test_imported_libraries_are_named_with_the_package_that_would_help(libraries: pytest.MonkeyPatch) -> None:
    """Drivers below SQLAlchemy need none where that is looked after."""
    assert unmonitored(sqlalchemy=False) == {}
    for name in ("kafka", "psycopg"):
        libraries.setitem(sys.modules, name, ModuleType(name))
    kafka = {"kafka": "opentelemetry-instrumentation-kafka-python"}
    assert unmonitored(sqlalchemy=True) == kafka
    assert unmonitored(sqlalchemy=False) == {**kafka, "psycopg": "opentelemetry-instrumentation-psycopg"}


def test_a_library_whose_instrumentation_is_at_work_is_not_named(libraries: pytest.MonkeyPatch) -> None:
    """It is OpenTelemetry's own switch that tells."""
    BaseInstrumentor: Any = importlib.import_module("opentelemetry.instrumentation.instrumentor").BaseInstrumentor  # noqa: N806 - a class

    class KafkaInstrumentor(BaseInstrumentor):  # type: ignore[misc] # it ships no type information
        """As its package has it."""

        def instrumentation_dependencies(self) -> list[str]:
            return []

        def _instrument(self, **_: object) -> None: ...

        def _uninstrument(self, **_: object) -> None: ...

    package = ModuleType("opentelemetry.instrumentation.kafka")
    vars(package).update(BaseInstrumentor=BaseInstrumentor, KafkaInstrumentor=KafkaInstrumentor, number=7)
    libraries.setitem(sys.modules, "kafka", ModuleType("kafka"))
    libraries.setitem(sys.modules, package.__name__, package)
    assert set(unmonitored(sqlalchemy=True)) == {"kafka"}
    KafkaInstrumentor().instrument()
    assert unmonitored(sqlalchemy=True) == {}
    KafkaInstrumentor().uninstrument()


# -- the report ------------------------------------------------------------------------------------------------------

ROUTES = tuple(Sighting("route", f"GET /{number}", ("metric", "span")) for number in range(23))


def test_the_text_says_what_lacks_what_and_what_to_do() -> None:
    """Long lists are cut; ``as_dict`` has everything, in JSON's own types."""
    shown = Report(
        30,
        (Sighting("database", "sqlite://", ("check",), "declare one"), *ROUTES),
        {"redis": "off", "httpx": "installed"},
        {"redis": "not chosen"},
        {"kafka": "opentelemetry-instrumentation-kafka-python"},
    )
    text = str(shown)
    assert text.startswith(
        "6 of 30 things that were seen are monitored.\n"
        "\ndatabase (1)\n  sqlite://: no check (declare one)\n"
        "\nroute (23)\n  GET /0: no metric, no span\n"
    )
    assert "GET /19" in text
    assert "GET /20" not in text
    assert text.endswith(
        "  … and 3 more\n"
        "\nintegrations that are not at work\n  redis: not chosen\n"
        "\nlibraries that OpenTelemetry has a package for\n"
        "  kafka: pip install opentelemetry-instrumentation-kafka-python"
    )
    there = json.loads(json.dumps(shown.as_dict()))
    assert (there["seen"], len(there["findings"]), there["off"]) == (30, 24, {"redis": "not chosen"})
    assert there["findings"][0] == {
        "kind": "database", "name": "sqlite://", "lacks": ["check"], "hint": "declare one",
    }  # fmt: skip


def test_nothing_to_say_is_one_line() -> None:
    """All is well."""
    assert str(Report(3, (), {}, {}, {})) == "3 of 3 things that were seen are monitored."


def test_the_report_joins_what_is_seen_with_the_integrations(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same thing twice counts once; an integration is named when its library is there and it is not at work."""

    class Thing: ...

    things = [Thing(), Thing()]
    for thing in things:
        see(thing, lambda _: [Sighting("thing", "one", ("log",))])
    monkeypatch.setattr(
        "mirante.integrations.report.statuses",
        lambda: {"redis": "off", "httpx": "failed", "requests": "installed", "celery": "waiting"},
    )
    shown = report()
    assert Sighting("thing", "one", ("log",)) in shown.findings
    assert shown.findings.count(Sighting("thing", "one", ("log",))) == 1
    assert shown.off == {
        "redis": "not chosen by the setting integrations, or mirante.configure() was not called",
        "httpx": "it could not be installed; the log says why",
    }
    assert shown.integrations["celery"] == "waiting"


def test_loggers_that_keep_their_lines_to_themselves_are_named() -> None:
    """Once logging is taken over; those that reach it, hand on to it, or were silenced are not."""
    closed, own, silent = (logging.getLogger(f"report.{name}") for name in ("closed", "own", "silent"))
    logging.getLogger("report.open")
    closed.propagate = own.propagate = silent.propagate = False
    handler, elsewhere, nowhere = PipelineHandler(), logging.StreamHandler(), logging.NullHandler()
    own.addHandler(handler)
    closed.addHandler(elsewhere)
    silent.addHandler(nowhere)
    expected = Sighting("logger", "report.closed", ("log",), "set its propagate to True")
    try:
        assert expected not in report().findings
        logging.getLogger().addHandler(handler)
        assert [one for one in report().findings if one.name.startswith("report.")] == [expected]
    finally:
        logging.getLogger().removeHandler(handler)
        for logger in (closed, own, silent):
            logger.handlers.clear()
            logger.propagate = True


def test_it_is_one_call() -> None:
    """``mirante.report()``."""
    assert mirante.report is report
