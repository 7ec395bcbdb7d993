"""Automatic runbooks: a command of the allow list, or a webhook, when an alert begins to fire."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import Collection, Sequence
from contextlib import suppress

from mirante.errors import DeliveryError
from mirante.server.notify.channels.caller import Caller
from mirante.server.notify.channels.message import Message, version4
from mirante.server.notify.model import Runbook

_OUTPUT_BYTES = 65_536
_VALUE_CHARACTERS = 8192
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")


async def run(runbook: Runbook, message: Message, allowed: Collection[str], caller: Caller) -> str:
    """Do what the runbook says, and give its output.

    A command is run once, however it ends: to repeat it is for people to decide.

    Raises:
        DeliveryError: it failed, with its output; or the webhook did not take it.
    """
    if runbook.url:
        return str(await caller.post_json(runbook.url, version4(message), message.notification.id))
    command = runbook.command
    if command[0] not in allowed:
        raise DeliveryError(f"{command[0]} does not stand in allowed_commands", permanent=True)
    arguments = [command[0], *(message.render(part).replace("\0", "") for part in command[1:])]
    return await _execute(arguments, runbook.timeout, environment(message), json.dumps(version4(message)).encode())


def environment(message: Message) -> dict[str, str]:
    """What a command sees: the notification, and the labels that its alerts share, as ``ALERT_*``."""
    told = message.notification
    labels = message.common(lambda alert: alert.labels)
    found = {
        "ALERT_NAME": labels.get("alertname", ""),
        "ALERT_STATUS": told.status,
        "ALERT_COUNT": str(len(told.alerts)),
        "ALERT_GROUP_KEY": told.group_key,
        "ALERT_NOTIFICATION_ID": told.id,
        **{f"ALERT_LABEL_{name.upper()}": value for name, value in labels.items()},
    }
    clean = {
        key: value.replace("\0", "")[:_VALUE_CHARACTERS] for key, value in found.items() if _VARIABLE.fullmatch(key)
    }
    return {"PATH": _PATH, "LANG": "C.UTF-8", **clean}


async def _execute(command: Sequence[str], milliseconds: int, env: dict[str, str], stdin: bytes) -> str:
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=PIPE, stdout=PIPE, stderr=STDOUT, env=env, cwd="/", start_new_session=True
        )
    except OSError as error:
        raise DeliveryError(f"{command[0]} cannot be run: {error.strerror}", permanent=True) from error
    output = bytearray()
    try:
        async with asyncio.timeout(milliseconds / 1000):
            await asyncio.gather(_feed(process, stdin), _collect(process, output))
            code = await process.wait()
    except TimeoutError as error:
        await _end(process)
        reason = f"it took longer than {milliseconds / 1000:g} s and was ended"
        raise DeliveryError(_told(reason, output), permanent=True) from error
    except BaseException:
        await _end(process)
        raise
    if code:
        raise DeliveryError(_told(f"it ended with {code}", output), permanent=True)
    return _told("it ended with 0", output)


async def _feed(process: Process, stdin: bytes) -> None:
    assert process.stdin is not None  # noqa: S101 - asked for above
    with suppress(ConnectionError):  # a command need not read it
        process.stdin.write(stdin)
        await process.stdin.drain()
    process.stdin.close()


async def _collect(process: Process, output: bytearray) -> None:
    """The beginning of its output; the rest is read too, or the command would wait for ever."""
    assert process.stdout is not None  # noqa: S101 - asked for above
    while part := await process.stdout.read(_OUTPUT_BYTES):
        output += part[: _OUTPUT_BYTES - len(output)]


async def _end(process: Process) -> None:
    """The command with all that it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


def _told(reason: str, output: bytearray) -> str:
    said = output.decode("utf-8", "replace").strip()
    return f"{reason}: {said}" if said else reason
