"""Whatever bytes come, no parser raises anything but the refusal that it documents. ``make fuzz`` tries many more."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.server.ingest.conftest import MemoryLog
from tests.server.ingest.doors import Door, open_doors
from tests.server.store.conftest import open_store

BODIES = int(os.environ.get("MIRANTE_FUZZ_BODIES", "200"))
SEED = os.environ.get("MIRANTE_FUZZ_SEED", "7")

NAMES = (
    *("remote_write1", "remote_write2", "otlp_traces", "otlp_metrics", "otlp_logs", "otlp_traces_json"),
    *("otlp_metrics_json", "otlp_logs_json", "loki_json", "loki_protobuf", "json_lines", "import_text"),
    *(
        "import_openmetrics",
        "unpack_gzip",
        "unpack_deflate",
        "unpack_zstd",
        "unpack_snappy",
        "push_path",
        "push_path_base64",
    ),
    *("push_text", "push_protobuf", "scrape_text", "scrape_openmetrics", "scrape_protobuf", "parse_text"),
    *("parse_openmetrics", "promql", "prometheus_yml"),
)
WORDS = (
    *(b"\0", b"\xff", b"\x80" * 9, b"\xed\xa0\x80", b"\n", b'"', b"\\", b"{", b"}", b":", b",", b"[" * 2000),
    *(b"# EOF\n", b"# TYPE ", b"NaN", b"-Inf", b"1e999", b"-1", b"9223372036854775808", b"9" * 5000, b"(" * 900),
    *(b"null", b"true", b"1_000", "\N{ARABIC-INDIC DIGIT ONE}".encode(), "\N{NO-BREAK SPACE}".encode(), b"&a *a"),
    *(b"\\x", b"\\u", b"\\400", b"{99999999999}", b"[1s:1d]", b"%", b"$1", b"@base64", b"!!"),
)  # fmt: skip


@pytest.fixture(scope="module")
def doors() -> Iterator[dict[str, Door]]:
    """All parsers."""
    with open_doors() as opened:
        yield opened


@st.composite
def mutated(draw: st.DrawFn, seeds: tuple[bytes, ...]) -> bytes:
    """Good bytes, of which some pieces are replaced, taken out, said again or cut off."""
    body = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(body)))
        end = min(len(body), at + draw(st.sampled_from((0, 1, 1, 2, 8, 64))))
        new = draw(st.one_of(st.binary(max_size=4), st.sampled_from(WORDS), st.just(body[at:end] * 2), st.just(b"")))
        body = body[:at] + new + (b"" if draw(st.integers(0, 19)) == 0 else body[end:])
    return body


def feed(door: Door, body: bytes) -> bool:
    """Whether the bytes were taken; fails for whatever is raised besides a refusal."""
    try:
        door.feed(body)
    except door.refusals:
        return False
    return True


def test_every_parser_is_tried(doors: dict[str, Door]) -> None:
    """Each has good bytes that it takes, or mutating them would try nothing but the first check."""
    assert set(NAMES) == set(doors)
    refused = [name for name, door in doors.items() for seed in door.seeds if not feed(door, seed)]
    assert not refused


@pytest.mark.filterwarnings("ignore:Possible (nested|set):FutureWarning")  # of regular expressions
@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_any_bytes(doors: dict[str, Door], name: str, data: st.DataObject) -> None:
    """Arbitrary bytes, and good ones that were changed in places."""
    door = doors[name]
    feed(door, data.draw(st.one_of(mutated(door.seeds), st.binary(max_size=200))))


def changed(random: Random, seeds: tuple[bytes, ...]) -> bytes:
    """As ``mutated``, but quick: for as many as the store is to load."""
    body = random.choice(seeds)
    for _ in range(random.randint(1, 4)):
        at = random.randint(0, len(body))
        end = min(len(body), at + random.choice((0, 1, 1, 1, 2, 8, 64)))
        new = random.choice((random.randbytes(random.randint(0, 4)), random.choice(WORDS), body[at:end] * 2, b""))
        body = body[:at] + new + body[end:]
    return body


@pytest.mark.slow
def test_what_is_acknowledged_can_be_loaded(tmp_path: Path) -> None:
    """The engine's own parser takes every body that ours took, however it was changed: none has to be set aside."""
    random, log = Random(SEED), MemoryLog()  # noqa: S311 - no secret
    with open_doors(log) as doors:
        for name in NAMES[: NAMES.index("unpack_gzip")]:
            for _ in range(BODIES):
                feed(doors[name], changed(random, doors[name].seeds))
    with closing(open_store(tmp_path)) as store:
        for stream in ("remote_write", "otlp_logs", "otlp_traces"):
            bodies = [body for one, body in log.bodies if one == stream]
            assert bodies
            store.log.append(stream, bodies)
        assert store.log.wait_until_loaded(300)
        counted = {(s.name, s.labels["stream"]): s.value for family in store.log.collect() for s in family.samples}
        assert sum(n for (name, _), n in counted.items() if "loaded_bodies" in name) == len(log.bodies)
        assert not any(n for (name, _), n in counted.items() if "quarantined" in name), counted
