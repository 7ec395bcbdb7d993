"""Says why a request failed, in a person's words."""

from __future__ import annotations

import errno

import aiohttp


def explain(error: BaseException) -> str:
    """Why a request failed, in the words of the field.

    Example:
        >>> explain(ConnectionRefusedError(111, "Connect call failed"))
        'connection refused'
    """
    match error:
        case aiohttp.ClientConnectorDNSError():
            reason = f"no such host: {error.host}"
        case aiohttp.ClientConnectorCertificateError():
            reason = f"certificate verification failed: {error.certificate_error}"
        case aiohttp.ClientConnectorError():
            reason = explain(error.os_error)
        case aiohttp.TooManyRedirects():
            reason = "stopped after 10 redirects"
        case aiohttp.ServerDisconnectedError():
            reason = "the server closed the connection without an answer"
        case ConnectionRefusedError():
            reason = "connection refused"
        case ConnectionResetError() | OSError(errno=errno.ECONNRESET):
            reason = "connection reset by the other side"
        case OSError() if error.filename:
            reason = f"{error.filename}: {error.strerror}"
        case _:
            reason = str(error) or type(error).__name__
    return reason
