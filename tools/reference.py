"""Write the reference pages that are made from the code: settings and command line. A test holds them up to date."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from typer.testing import CliRunner

from mirante.cli.main import app
from mirante.config import entries
from mirante.configure import Settings
from mirante.server.settings import ServerSettings

FOLDER = Path(__file__).parent.parent / "docs" / "reference"
VERBS: tuple[tuple[str, ...], ...] = (
    (),
    ("serve",),
    ("backup", "create"),
    ("backup", "list"),
    ("backup", "verify"),
    ("backup", "restore"),
    ("delete", "logs"),
    ("delete", "traces"),
    ("delete", "series"),
    ("run",),
    ("check", "config"),
    ("check", "rules"),
    ("check", "routes"),
    ("check", "metrics"),
    ("test", "rules"),
    ("slo", "check"),
    ("slo", "rules"),
    ("slo", "dashboard"),
    ("import",),
    ("query",),
    *(("alert", verb) for verb in ("list", "show", "ack", "unack", "snooze", "history", "oncall", "backtest")),
    *(("silence", verb) for verb in ("add", "list", "edit", "expire", "import")),
    ("token", "create"),
    ("token", "list"),
    ("token", "revoke"),
)


def settings_page() -> str:
    """Every setting of server and SDK."""
    return "\n".join(
        [
            "# Settings",
            "",
            "Code and flags win over environment variables, those over the file, that over the default. An empty",
            "variable counts as not set; where a row names several variables, the first one set wins. Durations are",
            "seconds or text such as `1m30s`. A key that nobody knows is an error that names it.",
            "",
            "## Server",
            "",
            "`mirante serve`; the file is the one given by `--config` or `MIRANTE_CONFIG`. Keys with a dot stand in a",
            "TOML table: `query.timeout` is `timeout` below `[query]`.",
            "",
            *_table(ServerSettings, flags=True),
            "## SDK",
            "",
            "Arguments of `mirante.configure`. In a file they stand below `[sdk]`.",
            "",
            *_table(Settings, flags=False),
        ]
    )


def _table(table: type, *, flags: bool) -> list[str]:
    head = ["key", *(["flag"] if flags else []), "environment", "default", "meaning"]
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for row in entries(table):
        shown = str(row.default).lower() if row.type is bool else row.default
        default = "" if row.default in {None, "", ()} else f"`{shown}`"
        names = ", ".join(f"`{name.name}`" for name in row.env)
        cells = [f"`{row.key}`", *([f"`{row.flag}`"] if flags else []), names, default, row.help]
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""]


def cli_page() -> str:
    """The help text of every verb."""
    os.environ["COLUMNS"] = "100"
    parts = ["# Command line", "", "Exit codes: 0 done, 1 it could not be done, 2 wrong usage or configuration.", ""]
    for verb in VERBS:
        shown = CliRunner().invoke(app, [*verb, "--help"], prog_name="mirante", terminal_width=100)
        parts += [f"## {' '.join(('mirante', *verb))}", "", "```text", shown.output.strip(), "```", ""]
    return "\n".join(parts)


PAGES = {"settings.md": settings_page, "cli.md": cli_page}


def main() -> int:
    """Write the pages; with ``--check`` only tell whether they are up to date."""
    stale = [
        name for name, page in PAGES.items() if not (FOLDER / name).exists() or (FOLDER / name).read_text() != page()
    ]
    if "--check" not in sys.argv:
        FOLDER.mkdir(parents=True, exist_ok=True)
        for name in stale:
            (FOLDER / name).write_text(PAGES[name]())
        return 0
    print(f"stale: {', '.join(stale)}" if stale else "up to date")
    return bool(stale)


if __name__ == "__main__":
    sys.exit(main())
