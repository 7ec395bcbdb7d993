"""The command without the packages that it needs."""

from __future__ import annotations

import sys

import pytest

from mirante.cli import entry


@pytest.mark.parametrize("name", ["typer", "orjson"])
def test_a_missing_package_is_one_line_that_says_what_to_install(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As after a plain ``pip install mirante``."""

    class Missing:
        """Finds nothing for that name."""

        def find_spec(self, wanted: str, *_: object) -> None:
            if wanted == "mirante.cli.main":
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.delitem(sys.modules, "mirante.cli.main", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Missing(), *sys.meta_path])
    with pytest.raises(SystemExit) as caught:
        entry.run()
    assert caught.value.code == 1
    assert capsys.readouterr().err == (
        f'mirante: {name} is not installed; the command needs: pip install "mirante[server]"\n'
    )


def test_a_module_of_ours_that_is_missing_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the user's."""
    monkeypatch.setitem(sys.modules, "mirante.cli.main", None)
    with pytest.raises(ModuleNotFoundError, match=r"mirante\.cli"):
        entry.run()


def test_the_command_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """With everything there."""
    monkeypatch.setattr(sys, "argv", ["mirante", "--version"])
    with pytest.raises(SystemExit) as caught:
        entry.run()
    assert caught.value.code == 0
    assert capsys.readouterr().out.startswith("mirante 0.")


def test_run_needs_none_of_the_servers_packages(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A plain ``pip install mirante`` is enough for it."""
    monkeypatch.setitem(sys.modules, "mirante.cli.main", None)
    monkeypatch.setattr(sys, "argv", ["mirante", "run", "--help"])
    with pytest.raises(SystemExit) as caught:
        entry.run()
    assert caught.value.code == 0
    assert capsys.readouterr().out.startswith("usage: mirante run ")
