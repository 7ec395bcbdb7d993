"""Which discovery does what a configuration asks for."""

from __future__ import annotations

from collections import Counter
from importlib.util import find_spec

from mirante.errors import ConfigError
from mirante.server.scrape.discovery import Discovery, Reporter, Sleep, StaticDiscovery
from mirante.server.scrape.model import DnsSd, FileSd, HttpSd, Sd, StaticSd
from mirante.server.scrape.sd.file import FileDiscovery
from mirante.server.scrape.sd.http import HttpDiscovery


def make_discovery(sd: Sd, job: str, failures: Counter[str], sleep: Sleep) -> Discovery:
    """The discovery, not started.

    Args:
        sd: what the configuration says.
        job: name of the job.
        failures: counts failed refreshes by mechanism.
        sleep: waits for seconds.

    Raises:
        OSError: a certificate file cannot be read.
        ConfigError: a package is missing.
    """
    match sd:
        case StaticSd():
            return StaticDiscovery(sd.groups)
        case FileSd():
            return FileDiscovery(sd, Reporter("file", job, failures), sleep)
        case HttpSd():
            return HttpDiscovery(sd, Reporter("http", job, failures), sleep)
        case DnsSd():
            from mirante.server.scrape.sd.dns import DnsDiscovery  # here, because few need its 4 MB

            return DnsDiscovery(sd, Reporter("dns", job, failures), sleep)
        case _:
            if find_spec("kubernetes") is None:
                raise ConfigError(
                    'kubernetes_sd_configs needs the Kubernetes client: pip install "mirante[server,kubernetes]"'
                )
            from mirante.server.scrape.sd.kubernetes import KubernetesDiscovery

            return KubernetesDiscovery(sd, Reporter("kubernetes", job, failures), sleep)
