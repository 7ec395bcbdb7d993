"""Automatic runbooks: real commands, what they see, and how they end."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from mirante.errors import DeliveryError
from mirante.server.http_client.model import PLAIN
from mirante.server.notify import runbook
from mirante.server.notify.channels.caller import Caller
from mirante.server.notify.model import Runbook
from mirante.server.notify.notification import Notification
from tests.peers import wait_for
from tests.server.notify.receivers import alert, message, receiving, told

PYTHON = sys.executable


def run(book: Runbook, notification: Notification | None = None, allowed: tuple[str, ...] = (PYTHON,)) -> str:
    """Run it, and give its output."""

    async def main() -> str:
        caller = Caller(PLAIN)
        try:
            return await runbook.run(book, message({}, notification or told(kind="runbook")), allowed, caller)
        finally:
            await caller.close()

    return asyncio.run(main())


def python(program: str, *arguments: str, milliseconds: int = 60_000) -> Runbook:
    """A runbook that runs a Python program."""
    return Runbook("book", (), command=(PYTHON, "-c", program, *arguments), timeout=milliseconds)


def test_a_command_sees_the_alert() -> None:
    """Its labels as variables, its arguments filled in, the notification on its standard input, and nothing of ours."""
    program = "import sys,os,json; print(json.dumps([sys.argv[1:], dict(os.environ), json.load(sys.stdin)['alerts']]))"
    alerts = [alert(instance="db1", severity="critical"), alert(instance="db2", severity="critical")]
    said = run(python(program, "{{ .CommonLabels.severity }}", "$(id); x"), told(alerts, kind="runbook"))
    ended, _, output = said.partition(": ")
    assert ended == "it ended with 0"
    arguments, environment, sent = json.loads(output)
    assert arguments == ["critical", "$(id); x"]
    found: Mapping[str, str] = {name: text for name, text in environment.items() if name.startswith("ALERT_")}
    assert found == {
        "ALERT_NAME": "DiskFull",
        "ALERT_STATUS": "firing",
        "ALERT_COUNT": "2",
        "ALERT_GROUP_KEY": '{}:{alertname="DiskFull"}',
        "ALERT_NOTIFICATION_ID": "01hf7",
        "ALERT_LABEL_ALERTNAME": "DiskFull",
        "ALERT_LABEL_SEVERITY": "critical",
    }
    assert set(environment) - set(found) <= {"PATH", "LANG", "LC_CTYPE", "PWD", "SHLVL", "_"}
    assert [one["labels"]["instance"] for one in sent] == ["db1", "db2"]


def test_labels_that_no_variable_can_be_named_by_are_left_out() -> None:
    """And a NUL, which no variable can hold."""
    program = (
        "import os; print(sorted(n for n in os.environ if n.startswith('ALERT_LABEL')), os.environ['ALERT_LABEL_A'])"
    )
    odd = replace(alert(), labels={"alertname": "Odd", "a": "x\0y", "b.c": "z"})
    assert run(python(program), told([odd])).endswith("['ALERT_LABEL_A', 'ALERT_LABEL_ALERTNAME'] xy")


def test_a_command_that_reads_nothing() -> None:
    """Need not."""
    many = told([alert(instance="x" * 1000 + str(n)) for n in range(500)], kind="runbook")
    assert run(python(""), many) == "it ended with 0"


def test_a_command_that_fails() -> None:
    """Is told with its output, errors too, and is not run again."""
    with pytest.raises(DeliveryError, match="it ended with 3: on it\nno") as failure:
        run(python("import sys; print('on it', flush=True); sys.stderr.write('no'); sys.exit(3)"))
    assert failure.value.permanent


def test_much_output_is_cut() -> None:
    """After 64 kB; the command can write all of it."""
    said = run(python("print('x' * 10_000_000)"))
    assert len(said) == len("it ended with 0: ") + 65_536


def _alive(pid: int) -> bool:
    """Whether a process runs; what has ended and was not yet waited for does not."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def test_a_command_that_takes_too_long_is_ended() -> None:
    """And not run again."""
    with pytest.raises(DeliveryError, match=r"it took longer than 0.1 s and was ended") as failure:
        run(python("import time; time.sleep(600)", milliseconds=100))
    assert failure.value.permanent


def test_a_command_ends_with_the_server(tmp_path: Path) -> None:
    """With what it started, when the delivery stops."""
    note = tmp_path / "pid"
    program = (
        "import subprocess,sys,time; p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); "
        f"open({str(note)!r}, 'w').write(str(p.pid)); time.sleep(600)"
    )

    async def main() -> None:
        caller = Caller(PLAIN)
        task = asyncio.create_task(runbook.run(python(program), message({}, told()), (PYTHON,), caller))
        await asyncio.to_thread(wait_for, lambda: note.exists() and note.read_text(), what="the command to begin")
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await caller.close()

    asyncio.run(main())
    child = int(note.read_text())
    wait_for(lambda: not _alive(child), what="the command's child to end")


def test_only_what_is_allowed_is_run() -> None:
    """A program of another name is refused, and one that is not there told."""
    with pytest.raises(DeliveryError, match="does not stand in allowed_commands") as failure:
        run(python(""), allowed=("/bin/true",))
    assert failure.value.permanent
    gone = Runbook("book", (), command=("/nonexistent/x",))
    with pytest.raises(DeliveryError, match="/nonexistent/x cannot be run: No such file"):
        run(gone, allowed=("/nonexistent/x",))


def test_a_runbook_may_be_a_webhook() -> None:
    """With the body of version 4."""
    with receiving() as hook:
        assert run(Runbook("book", (), url=f"{hook.url}/heal")) == "200 ok"
    [got] = hook.got
    assert (got.path, got.json["version"]) == ("/heal", "4")


def test_a_command_killed_by_a_signal() -> None:
    """Has its number, negative."""
    with pytest.raises(DeliveryError, match=f"it ended with -{int(signal.SIGTERM)}"):
        run(python("import os,signal; os.kill(os.getpid(), signal.SIGTERM)"))
