"""What telemetry says about the process that sent it."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from urllib.parse import unquote

from mirante._core.version import version
from mirante.config import SdkSettings
from mirante.errors import ConfigError


def resource_attributes(settings: SdkSettings) -> dict[str, str | int]:
    """What is said about this process as a whole; attributes that the settings name win over the detected ones.

    The instance id is ``host:pid``: readable, the same for the whole life of a process, and different for every process
    of a host. A random one would say less; where containers share a host name, set ``service.instance.id``.
    """
    host = socket.gethostname()
    found: dict[str, str | int] = {
        "service.name": settings.service_name,
        "service.instance.id": f"{host}:{os.getpid()}",
        "host.name": host,
        "process.pid": os.getpid(),
        "telemetry.sdk.name": "mirante",
        "telemetry.sdk.language": "python",
        "telemetry.sdk.version": version(),
    }
    given = dict(_attributes(settings.resource_attributes))
    if settings.service_name != SdkSettings().service_name:
        given.pop("service.name", None)  # the setting of its own wins, as OpenTelemetry says
    return {**found, **given}


def _attributes(text: str) -> Iterator[tuple[str, str]]:
    for pair in filter(None, (part.strip() for part in text.split(","))):
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise ConfigError(f"resource_attributes: {pair!r} is not key=value", key="resource_attributes")
        yield unquote(key.strip()), unquote(value.strip())
