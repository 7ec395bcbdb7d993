"""The real Alertmanager and its amtool, given the same files: they take, refuse, route and fill in what we do."""

from __future__ import annotations

import copy
import random
import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from mirante.cli.main import app
from mirante.errors import ConfigError
from mirante.server.http_client.model import Secret
from mirante.server.notify.config import read_config
from mirante.server.notify.kinds import KINDS
from mirante.server.notify.options import Option
from tests.peers import Peer, free_port, program, running

pytestmark = pytest.mark.slow

CORPUS = Path(__file__).parents[2] / "corpus" / "alertmanager"
DOCUMENTS = [yaml.safe_load((CORPUS / f"{name}.good.yml").read_text()) for name in ("every_kind", "every_option")]
ODD: tuple[Any, ...] = (None, "", "x", 7, -1, True, "10m", "http://a", [], {}, ["x"], {"x": "y"})
# Where later versions take more than 0.25, and what is read elsewhere.
NEWER = ("group_by", "equal", "details", "http_config", "tls_config")


def takes(files: Sequence[Path]) -> dict[Path, str]:
    """What amtool says against each file; nothing where it takes it."""
    output = subprocess.run(
        [program("amtool"), "check-config", *map(str, files)], capture_output=True, text=True, timeout=60, check=False
    ).stdout
    parts = re.split(r"^Checking '(.*)'  ", output, flags=re.MULTILINE)[1:]
    found = {Path(name): said for name, said in zip(parts[::2], parts[1::2], strict=True)}
    assert list(found) == list(files), output
    return {path: "" if said.startswith("SUCCESS") else said for path, said in found.items()}


def ours(path: Path) -> str:
    """What we say against it."""
    try:
        read_config(path)
    except ConfigError as error:
        return str(error)
    return ""


def written(folder: Path, documents: Sequence[Any]) -> list[Path]:
    """Each document as a file."""
    paths = [folder / f"{number:03}.yml" for number in range(len(documents))]
    for path, document in zip(paths, documents, strict=True):
        path.write_text(yaml.safe_dump(document))
    return paths


def places(tree: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every place in a document."""
    if path:
        yield path
    for name, value in tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ():
        if name not in NEWER:
            yield from places(value, (*path, name))


def changed(base: int, path: tuple[str | int, ...], value: Any) -> Any:
    """A document with something else at one place, or without it."""
    document = copy.deepcopy(DOCUMENTS[base])
    parent = document
    for name in path[:-1]:
        parent = parent[name]
    if value is ...:
        del parent[path[-1]]
    else:
        parent[path[-1]] = value
    return document


@st.composite
def changes(draw: st.DrawFn) -> Any:
    """A document of the corpus with one change; a list has no null, on which amtool 0.25 falls over."""
    base = draw(st.integers(0, len(DOCUMENTS) - 1))
    path = draw(st.sampled_from(list(places(DOCUMENTS[base]))))
    value = draw(st.sampled_from([..., *ODD[isinstance(path[-1], int) :]]))
    return changed(base, path, value)


def test_amtool_agrees_over_the_corpus() -> None:
    """Of what its version knows it takes the good files and refuses the bad ones."""
    files = [path for path in sorted(CORPUS.glob("*.yml")) if not re.search(r"newer|own", path.name)]
    assert {path for path, said in takes(files).items() if not said} == {
        p for p in files if p.name.endswith("good.yml")
    }


@settings(
    max_examples=4, deadline=None, derandomize=True, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
)
@given(documents=st.lists(changes(), min_size=80, max_size=80))
def test_amtool_agrees_over_changed_files(documents: list[Any], tmp_path_factory: pytest.TempPathFactory) -> None:
    """One thing changed in a good file is refused by both or by neither."""
    files = written(tmp_path_factory.mktemp("changed"), documents)
    for path, said in takes(files).items():
        assert bool(said) == bool(ours(path)), f"amtool: {said}\nours: {ours(path)}\n{path.read_text()}"


@pytest.mark.parametrize("name", ["every_kind", "every_option", "own"])
def test_amtool_reads_what_is_shown(name: str, tmp_path: Path) -> None:
    """With secrets hidden and our own keys left out, so that it can ask us for routes."""
    path = tmp_path / "shown.yml"
    path.write_text(read_config(CORPUS / f"{name}.good.yml").alertmanager_text)
    assert takes([path]) == {path: ""}


def amtool(*arguments: str) -> str:
    """What it prints."""
    done = subprocess.run([program("amtool"), *arguments], capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.replace("\xa0", " ")


def cli(*arguments: str) -> str:
    """What ``mirante check routes`` prints, without what amtool 0.25 does not print."""
    result = CliRunner().invoke(app, ["check", "routes", *arguments])
    assert result.exit_code == 0, result.output
    return re.sub(r"  grouping: .*", "", result.stdout)


PIECES = ("a", "b", "a=b", "=", "!=", "=~", "!~", '"', '"x"', "x", ",", " ", "\\", "{", "}", "n", "(", "|")


def test_amtool_reads_matchers_alike(tmp_path: Path) -> None:
    """What it takes means the same to us; what it refuses only the newer syntax may take."""
    chance = random.Random(5)  # noqa: S311 - the same texts every time
    texts = [f"a{chance.choice(PIECES[3:7])}{''.join(chance.choices(PIECES, k=number % 6))}" for number in range(300)]
    texts = list(dict.fromkeys(texts))
    taken = []
    for text, (path, said) in zip(
        texts, takes(written(tmp_path, [routing([text]) for text in texts])).items(), strict=True
    ):
        assert said or not ours(path), text
        assert not said or ours(path) or '"' in text, f"{text}: {said}"
        taken += [] if said else [text]
    assert 50 < len(taken) < len(texts) - 50
    (everything,) = written(tmp_path, [routing(taken)])
    assert cli(str(everything)) == amtool("config", "routes", "show", f"--config.file={everything}")


def routing(matchers: Sequence[str]) -> dict[str, Any]:
    """A configuration with a route for each of the texts."""
    routes = [{"matchers": [text]} for text in matchers]
    return {"route": {"receiver": "a", "routes": routes}, "receivers": [{"name": "a"}]}


ALERTS = st.tuples(*[st.sampled_from(["", "1", "2", "12"])] * 3)


def trees(depth: int) -> st.SearchStrategy[dict[str, Any]]:
    """A route and what is below it."""
    conditions = st.lists(st.sampled_from(['a="1"', 'a=~"1|2"', 'b!="1"', 'b!~"1.*"', 'c=""', "a=2"]), max_size=2)
    below = st.just([]) if depth == 0 else st.lists(trees(depth - 1), max_size=3)
    return st.fixed_dictionaries(
        {
            "matchers": conditions,
            "continue": st.booleans(),
            "routes": below,
            "receiver": st.sampled_from(["x", "y", "z"]),
        }
    )


@settings(
    max_examples=8, deadline=None, derandomize=True, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
)
@given(below=st.lists(trees(2), min_size=1, max_size=4), alerts=st.lists(ALERTS, min_size=2, max_size=2))
def test_amtool_routes_alike(
    below: list[dict[str, Any]], alerts: list[tuple[str, ...]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The whole tree, the branches that match, and who is told."""
    receivers = [{"name": name} for name in ("root", "x", "y", "z")]
    (path,) = written(
        tmp_path_factory.mktemp("routes"), [{"route": {"receiver": "root", "routes": below}, "receivers": receivers}]
    )
    assert cli(str(path)) == amtool("config", "routes", "show", f"--config.file={path}")
    for values in alerts:
        labels = [f"{name}={value}" for name, value in zip("abc", values, strict=True)]
        told = amtool("config", "routes", "test", "--tree", f"--config.file={path}", *labels)
        assert cli(str(path), "--tree", *labels) == told


@pytest.fixture(scope="module")
def alertmanager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    """The real one, with a receiver for each kind that it knows."""
    folder = tmp_path_factory.mktemp("alertmanager")
    port = free_port()
    command = [
        program("prometheus-alertmanager"),
        f"--config.file={CORPUS / 'every_kind.good.yml'}",
        f"--storage.path={folder}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]
    with running(command, f"http://127.0.0.1:{port}", "/-/ready", folder / "log") as peer:
        yield peer


def test_defaults_are_those_of_the_real_one(alertmanager: Peer) -> None:
    """Key by key of every kind, with what comes from the global section."""
    status = yaml.safe_load(alertmanager.get("/api/v2/status")["config"]["original"])
    config = read_config(CORPUS / "every_kind.good.yml")
    compared = 0
    for theirs in status["receivers"]:
        (mine,) = config.receivers[theirs["name"]].integrations
        (entry,) = theirs[f"{mine.kind}_configs"]
        assert entry.pop("send_resolved") is mine.send_resolved
        for option in KINDS[mine.kind].options:
            if option.name in entry and (mine.kind, option.name) != ("slack", "color"):  # has a template since
                assert as_shown(option, mine.options[option.name]) == as_text(option, entry[option.name]), (
                    f"{mine.kind}: {option.name}"
                )
                compared += 1
    assert compared > 70


def as_shown(option: Option, value: Any) -> Any:
    """One of our options as Alertmanager shows it."""
    if isinstance(value, Secret):
        return "http://127.0.0.1:5001/hook" if value.text.startswith("http://127") else "<secret>"
    if option.name == "sigv4":
        return {"region": value["region"], "access_key": value["access_key"], "secret_key": "<secret>"}
    return {"retry": "1m0s", "expire": "1h0m0s"}.get(option.name, value) if isinstance(value, int) else value


def as_text(option: Option, value: Any) -> Any:
    """One of its options: an e-mail's headers are those that are always there."""
    if option.name == "headers":
        return {}
    return value.replace(" .}}", " . }}") if isinstance(value, str) else value
