"""What can be found wrong with a configuration before it is put in force: its files too, not its words alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from glob import glob
from pathlib import Path

from mirante.errors import ConfigError
from mirante.server.http_client.check import unusable
from mirante.server.http_client.model import HttpClient
from mirante.server.rules.read import files_of, read_rules
from mirante.server.scrape.config import read_config
from mirante.server.scrape.model import FileSd, HttpSd, KubernetesSd, ScrapeJob
from mirante.server.scrape.sd.groups import groups_of_file
from mirante.server.scrape.sd_config import check_address


def check_config(path: Path) -> tuple[list[str], list[str]]:
    """Check a ``prometheus.yml`` and every file that it names.

    Returns:
        What is wrong, and what merely deserves a look.

    Raises:
        ConfigError: the configuration itself cannot be used.
    """
    errors: list[str] = []
    warnings: list[str] = []
    config = read_config(path)
    for job in config.jobs:
        errors += [f'job name "{job.name}": {text}' for http in _clients(job) for text in unusable(http)]
        for pattern in (pattern for sd in job.discoveries if isinstance(sd, FileSd) for pattern in sd.patterns):
            files = sorted(glob(pattern, include_hidden=True))  # noqa: PTH207 - Path.glob takes no absolute pattern
            if not files:
                warnings.append(f'job name "{job.name}": no file matches {pattern}')
            for file in files:
                errors += _broken(Path(file))
    for group in config.alertmanagers:
        errors += [f"alertmanagers: {text}" for text in unusable(group.http)]
    for pattern in config.rule_files:
        if not files_of([pattern]):  # a pattern may wait for its files, a file that is named should be there
            (warnings if "*" in pattern else errors).append(f"rule_files: no file matches {pattern}")
    errors += _wrong_rules(config.rule_files)
    return errors, warnings


def _wrong_rules(patterns: Iterable[str]) -> list[str]:
    try:
        read_rules(files_of(patterns))
    except ConfigError as error:
        return str(error).splitlines()
    return []


def _clients(job: ScrapeJob) -> Iterator[HttpClient]:
    yield job.http
    for sd in job.discoveries:
        if isinstance(sd, HttpSd | KubernetesSd):
            yield sd.http


def _broken(path: Path) -> Iterator[str]:
    try:
        for group in groups_of_file(path, {}):
            for target in group.targets:
                check_address(target["__address__"])
    except ConfigError as error:
        yield str(error)
    except ValueError as error:
        yield f"{path}: {error}"
    except OSError as error:
        yield f"{path}: cannot be read: {error.strerror}"
