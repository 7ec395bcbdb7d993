"""What applications have asked of the server: rules, retention, who is told of alerts. Kept on disk, a file each."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from mirante._core.files import replace_file
from mirante.config import resolve
from mirante.config.sdk import SdkSettings
from mirante.errors import BadRequestError, ConfigError, StoreFullError
from mirante.server.settings import AlertingSettings, RetentionSettings

log = logging.getLogger(__name__)

RETENTION, ALERTS = "retention.json", "alerts.json"
_RULES = "rules"
_LONGEST_NAME = 200
"""Bytes of a file's name, with room for its ending below what file systems take."""
_SECONDS_OF_A_DAY = 86_400


class ApplicationSettings:
    """The files below ``settings`` in a data directory. Any thread may call.

    Args:
        data: the data directory.

    Raises:
        ConfigError: what is kept there cannot be read.

    Example:
        >>> import tempfile
        >>> kept = ApplicationSettings(Path(tempfile.mkdtemp()))
        >>> kept.replace(RETENTION, '{"metrics_days": 15}')
        >>> kept.retention(RetentionSettings()).metrics / 86400
        15.0
    """

    def __init__(self, data: Path) -> None:
        self._folder = data / "settings"
        self._lock = threading.Lock()
        self._wishes()  # now, rather than when somebody asks

    def replace(self, name: str, content: str | None) -> str | None:
        """Put a file in the place of another, whole and lasting.

        Args:
            name: RETENTION, ALERTS or what ``rules_name`` gives.
            content: its new content; None to remove it.

        Returns:
            The content before, or None where there was none.

        Raises:
            StoreFullError: it cannot be written.
        """
        path = self.path(name)
        with self._lock:
            try:
                before = self.read(name)
                if content is None:
                    path.unlink(missing_ok=True)
                elif content != before:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    replace_file(path, content, mode=0o600)  # a webhook's URL is a secret
            except OSError as error:
                raise StoreFullError(f"cannot write {path}: {error.strerror or error}") from None
        return before

    def path(self, name: str) -> Path:
        """Where a file is."""
        return self._folder / name

    def read(self, name: str) -> str | None:
        """A file's content, or None where there is none."""
        try:
            return self.path(name).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None

    def applications(self) -> list[str]:
        """Those whose rules are kept."""
        return sorted(unquote(path.name.removesuffix(".yml")) for path in self._files())

    def rule_files(self, check: Callable[[str, str], object]) -> list[Path]:
        """The files of rules; one that cannot be used any more is told and left out.

        Args:
            check: raises ConfigError where a file's text, whose name is given too, cannot be used.
        """
        usable = []
        for path in self._files():
            try:
                check(path.read_text(encoding="utf-8"), str(path))
            except (ConfigError, OSError, UnicodeDecodeError) as error:
                log.error("the rules that an application had sent are left out: %s", error)  # noqa: TRY400
            else:
                usable.append(path)
        return usable

    def retention(self, configured: RetentionSettings) -> RetentionSettings:
        """How long what is kept: as configured, but for what an application has asked."""
        days = self._wishes().retention.metrics_days
        return configured if days is None else replace(configured, metrics=days * _SECONDS_OF_A_DAY)

    def alerting(self, configured: AlertingSettings) -> AlertingSettings:
        """Who is told of alerts: as configured, and as an application has asked where that says nothing."""
        asked = self._wishes().alerts
        return replace(
            configured,
            slack_webhook=configured.slack_webhook or asked.slack_webhook,
            email=configured.email or asked.email,
        )

    def _files(self) -> list[Path]:
        return sorted((self._folder / _RULES).glob("*.yml"))

    def _wishes(self) -> SdkSettings:
        retention, alerts = self._json(RETENTION), self._json(ALERTS)
        said = {"metrics_retention_days": retention.get("metrics_days")}
        return resolve(SdkSettings, code={**said, **{f"alert_{key}": alerts[key] for key in alerts}}, environ={})

    def _json(self, name: str) -> dict[str, Any]:
        try:
            content: dict[str, Any] = json.loads(self.read(name) or "{}")
        except (OSError, ValueError) as error:
            path = self.path(name)
            raise ConfigError(f"{path} cannot be read: {error}; restore it, or remove it", source=str(path)) from None
        return content


def rules_name(application: str) -> str:
    """The name of the file that holds an application's rules.

    Raises:
        BadRequestError: the application's name cannot be one.

    Example:
        >>> rules_name("shop/orders")
        'rules/shop%2Forders.yml'
    """
    name = quote(application, safe="")
    if not name or len(name) > _LONGEST_NAME:
        raise BadRequestError(f"an application's name has 1 to {_LONGEST_NAME} characters, when it is percent-encoded")
    return f"{_RULES}/{name}.yml"
