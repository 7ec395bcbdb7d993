"""Targets in files: found by patterns, read again when they change, kept when they break."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirante.server.scrape.model import FileSd, TargetGroup
from mirante.server.scrape.sd.file import POLL_SECONDS
from mirante.server.scrape.sd.groups import groups_of_json, groups_of_yaml
from tests.server.scrape.parts import Discovered


def write(path: Path, *addresses: str) -> None:
    """Put a list of targets in place, as a tool that does it well: whole."""
    new = path.with_name(path.name + ".new")
    new.write_text(json.dumps([{"targets": list(addresses), "labels": {"from": path.name}}]))
    new.rename(path)


def test_json_and_yaml_say_the_same(tmp_path: Path) -> None:
    """Groups with their labels, and the file they come from."""
    (tmp_path / "a.json").write_text('[{"targets": ["a:1", "b:1"], "labels": {"env": "x"}}, {"targets": []}]')
    (tmp_path / "b.yml").write_text("- targets: [a:1, 'b:1']\n  labels: {env: x}\n- targets: []\n")

    async def main() -> None:
        found = Discovered()
        async with found.running(FileSd((f"{tmp_path}/*.json", f"{tmp_path}/b.yml"))):
            ((first, empty, other, _),) = found.published
            path = str(tmp_path / "a.json")
            targets = ({"__address__": "a:1"}, {"__address__": "b:1"})
            assert first == TargetGroup(f"{path}:0", targets, {"env": "x", "__meta_filepath": path})
            assert empty == TargetGroup(f"{path}:1", (), {"__meta_filepath": path})
            assert (other.targets, other.labels["__meta_filepath"]) == (targets, str(tmp_path / "b.yml"))
            assert found.steps.slept == [POLL_SECONDS]

    asyncio.run(main())


WORDS = st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=8)
GROUPS = st.lists(st.fixed_dictionaries({
    "targets": st.lists(WORDS, max_size=3), "labels": st.dictionaries(WORDS.filter(bool), WORDS, max_size=3),
}), max_size=4)  # fmt: skip


@given(GROUPS)
def test_whatever_the_groups_say_both_formats_say_it(groups: list[dict[str, Any]]) -> None:
    """JSON is YAML, too."""
    text = json.dumps(groups)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "x.yml"
        path.write_text(text)
        assert groups_of_json(text.encode(), str(path), {"a": "b"}) == groups_of_yaml(path, {"a": "b"})


def test_a_change_is_seen_at_the_next_look(tmp_path: Path) -> None:
    """A file that changes, one that comes, one that goes; without a change nothing is published."""

    async def main() -> None:
        found, one, two = Discovered(), tmp_path / "one.json", tmp_path / ".two.json"
        async with found.running(FileSd((f"{tmp_path}/*.json",))):
            assert found.published == [[]]
            write(one, "a:1")
            await found.steps.next()
            assert found.addresses() == ["a:1"]
            write(one, "a:1", "b:1")
            write(two, "c:1")
            await found.steps.next()
            assert found.addresses() == ["c:1", "a:1", "b:1"]
            await found.steps.next()
            assert len(found.published) == 3
            one.unlink()
            await found.steps.next()
            assert found.addresses() == ["c:1"]
        assert found.failures == {}

    asyncio.run(main())


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("x.json", "[", "is not JSON: "),
        ("x.json", '{"targets": []}', "expected a list of target groups"),
        ("x.json", "[null]", "[0]: expected an object with targets and labels"),
        ("x.json", '[{"targets": []}, {"target": []}]', '[1]: unknown key "target"'),
        ("x.json", '[{"targets": [1]}]', "[0].targets: expected a list of host:port texts"),
        ("x.json", '[{"labels": {"a": 1}}]', "[0].labels: expected an object of texts"),
        ("x.yml", "- targets: [a:1", "line 1: is not YAML: "),
        ("x.yml", "targets: [a:1]", "line 1: expected a list"),
    ],
)
def test_a_broken_file_keeps_its_last_targets(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, text: str, reason: str
) -> None:
    """It is told once with file and reason, counted every time, and taken again when it is whole."""
    path = tmp_path / name

    async def main() -> None:
        found = Discovered()
        write(path, "a:1")
        async with found.running(FileSd((str(path),), refresh=0)):  # due at every look
            path.write_text(text)
            await found.steps.next()
            await found.steps.next()
            assert (found.addresses(), len(found.published)) == (["a:1"], 1)
            assert found.failures["file"] == 2
            write(path, "b:1")
            await found.steps.next()
            assert found.addresses() == ["b:1"]

    with caplog.at_level("INFO"):
        asyncio.run(main())
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 2
    assert told[0].startswith(f"job a: {path}: {reason}")
    assert told[0].endswith("; its last targets stay")
    assert told[1] == f"job a: {path} can be read again"


def test_a_file_that_cannot_be_opened_is_a_failure(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A folder of that name."""
    (tmp_path / "x.json").mkdir()

    async def main() -> None:
        found = Discovered()
        async with found.running(FileSd((f"{tmp_path}/*.json",))):
            assert found.published == [[]]

    asyncio.run(main())
    assert "x.json: cannot be read: Is a directory" in caplog.text


def test_a_link_to_nowhere_is_no_file(tmp_path: Path) -> None:
    """It may come to life later."""
    (tmp_path / "x.json").symlink_to(tmp_path / "y")

    async def main() -> None:
        found = Discovered()
        async with found.running(FileSd((f"{tmp_path}/*.json",))):
            (tmp_path / "y").write_text('[{"targets": ["a:1"]}]')
            await found.steps.next()
            assert found.addresses() == ["a:1"]

    asyncio.run(main())
