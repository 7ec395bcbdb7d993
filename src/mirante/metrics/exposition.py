"""Which exposition a client gets: the format by its Accept header, compressed when it says so."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from mirante.formats.exposition import OPENMETRICS_CONTENT_TYPE, TEXT_CONTENT_TYPE


class Format(NamedTuple):
    """What both sides agreed on.

    Attributes:
        openmetrics: OpenMetrics 1.0 instead of Prometheus text 0.0.4.
        gzip: the body is compressed.
    """

    openmetrics: bool
    gzip: bool

    def headers(self) -> dict[str, str]:
        """The response's headers."""
        found = {
            "Content-Type": OPENMETRICS_CONTENT_TYPE if self.openmetrics else TEXT_CONTENT_TYPE,
            "Vary": "Accept, Accept-Encoding",
        }
        return {**found, "Content-Encoding": "gzip"} if self.gzip else found


def negotiate(accept: str, accept_encoding: str) -> Format:
    """Choose by the request's headers; Prometheus text, not compressed, is what anyone gets who asks for nothing.

    Source: RFC 9110, 12.5; Prometheus, "Content negotiation".

    Example:
        >>> negotiate("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.3", "gzip;q=0")
        Format(openmetrics=True, gzip=False)
    """
    types, encodings = dict(_weighed(accept)), dict(_weighed(accept_encoding))
    openmetrics = types.get("application/openmetrics-text", 0.0)
    text = max(types.get("text/plain", 0.0), types.get("text/*", 0.0), types.get("*/*", 0.0))
    return Format(
        openmetrics=openmetrics > 0 and openmetrics >= text, gzip=encodings.get("gzip", encodings.get("*", 0.0)) > 0
    )


def _weighed(header: str) -> Iterator[tuple[str, float]]:
    """Each element with its weight, zero where that cannot be read; OpenMetrics versions that are not ours left out."""
    for element in header.split(","):
        value, *parameters = (part.strip().lower() for part in element.split(";"))
        weight = 1.0
        for parameter in parameters:
            name, _, text = parameter.partition("=")
            if name.strip() == "q":
                weight = _weight(text)
        versions = [part for part in parameters if part.startswith("version=")]
        if value == "application/openmetrics-text" and versions and versions[0] not in _VERSIONS:
            continue
        yield value, weight


_VERSIONS = ("version=1.0.0", "version=0.0.1")


def _weight(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def gzip(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Compress as the chunks come; the fastest level, because a scrape travels once and is thrown away."""
    compressor = zlib.compressobj(level=1, wbits=31)
    for chunk in chunks:
        if out := compressor.compress(chunk):
            yield out
    yield compressor.flush()
