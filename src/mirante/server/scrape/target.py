"""A target: what discovery found and relabeling made of it.

Source: Prometheus, ``scrape.PopulateLabels`` and ``Target.URL``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

from mirante.formats.duration import format_duration, parse_duration
from mirante.server.scrape.model import ScrapeJob
from mirante.server.scrape.relabel import relabel

_PARAM = "__param_"
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True, slots=True)
class Target:
    """Something to scrape.

    Attributes:
        discovered: the labels before relabeling, ``__address__`` and its like included.
        labels: what every series of the target gets: ``job``, ``instance`` and others without a leading ``__``.
        url: where its page is.
        interval: milliseconds between scrapes.
        timeout: milliseconds that a scrape may take.
    """

    discovered: Mapping[str, str]
    labels: Mapping[str, str]
    url: str
    interval: int
    timeout: int

    @property
    def identity(self) -> int:
        """64-bit number that says whether two targets are the same one; it also spreads them over the interval."""
        text = repr((sorted(self.labels.items()), self.url, self.interval, self.timeout))
        return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest(), "big")

    def global_url(self, hostname: str) -> str:
        """The URL as it works from another machine, where loopback means something else."""
        parts = urlsplit(self.url)
        if parts.hostname not in _LOOPBACK:
            return self.url
        port = parts.netloc.rpartition("]")[2].rpartition(":")[2] if parts.port else ""
        return urlunsplit(parts._replace(netloc=f"{hostname}:{port}" if port else hostname))


def discovered_labels(found: Mapping[str, str], job: ScrapeJob) -> dict[str, str]:
    """What discovery found, with the job's settings as labels wherever it did not set them; an empty label is none."""
    defaults = {
        "job": job.name,
        "__scrape_interval__": format_duration(job.interval),
        "__scrape_timeout__": format_duration(job.timeout),
        "__metrics_path__": job.path,
        "__scheme__": job.scheme,
        **{_PARAM + name: values[0] for name, values in job.params if values},
    }
    return {**defaults, **{name: value for name, value in found.items() if value}}


def make_target(discovered: Mapping[str, str], job: ScrapeJob) -> Target | None:
    """Relabel; None when the rules drop the target.

    Raises:
        ValueError: relabeling left something that cannot be scraped; the message says what.

    Example:
        >>> job = ScrapeJob("shop", params=(("probe", ("db",)),))
        >>> target = make_target(discovered_labels({"__address__": "127.0.0.1:8000"}, job), job)
        >>> (target.url, dict(target.labels)) if target else None
        ('http://127.0.0.1:8000/metrics?probe=db', {'job': 'shop', 'instance': '127.0.0.1:8000'})
    """
    labels = relabel(discovered, job.relabel)
    if labels is None:
        return None
    address = labels.get("__address__", "")
    if not address:
        raise ValueError("no address")
    if "/" in address:
        raise ValueError(f'"{address}" is not a valid hostname')
    interval, timeout = (_milliseconds(labels, name) for name in ("__scrape_interval__", "__scrape_timeout__"))
    if timeout > interval:
        raise ValueError("scrape timeout cannot be greater than scrape interval")
    kept = {name: value for name, value in labels.items() if not name.startswith("__")}
    kept.setdefault("instance", address)
    return Target(discovered, kept, _url(labels, address, job), interval, timeout)


def _milliseconds(labels: Mapping[str, str], name: str) -> int:
    try:
        found = parse_duration(labels.get(name, ""))
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    if not found:
        raise ValueError(f"{name} cannot be 0")
    return found


def _url(labels: Mapping[str, str], address: str, job: ScrapeJob) -> str:
    params = {name: list(values) for name, values in job.params}
    for label, value in labels.items():
        if label.startswith(_PARAM):
            name = label.removeprefix(_PARAM)
            params[name] = [value, *params.get(name, [])[1:]]
    scheme = labels.get("__scheme__", "")
    if scheme not in {"http", "https"}:
        raise ValueError(f'__scheme__ must be http or https, got "{scheme}"')
    path = quote(labels.get("__metrics_path__", ""), safe="/:@!$&'()*+,;=~")
    path = path if not path or path.startswith("/") else f"/{path}"
    return urlunsplit((scheme, address, path, urlencode(sorted(params.items()), doseq=True), ""))
