"""Amazon's Signature Version 4 for requests with a body and no query, and where its credentials are found.

Source: docs.aws.amazon.com, "AWS Signature Version 4 for API requests" (IAM User Guide), "Configuration and credential
file settings" (CLI User Guide).
"""

from __future__ import annotations

import configparser
import hashlib
import hmac
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

_ALGORITHM = "AWS4-HMAC-SHA256"


class Credentials(NamedTuple):
    """Who signs."""

    access_key: str
    secret_key: str
    token: str = ""


def find_credentials(profile: str, environment: Mapping[str, str] = os.environ) -> Credentials | None:
    """Those of the environment or, with a profile or without the former, of the shared credentials file.

    Raises:
        OSError: the file cannot be read.
    """
    if not profile and environment.get("AWS_ACCESS_KEY_ID"):
        return Credentials(
            environment["AWS_ACCESS_KEY_ID"],
            environment.get("AWS_SECRET_ACCESS_KEY", ""),
            environment.get("AWS_SESSION_TOKEN", ""),
        )
    file = Path(environment.get("AWS_SHARED_CREDENTIALS_FILE") or Path.home() / ".aws" / "credentials")
    parser = configparser.ConfigParser(interpolation=None)
    if file.exists():
        parser.read_string(file.read_text(encoding="utf-8"))
    name = profile or environment.get("AWS_PROFILE") or "default"
    if not parser.has_section(name):
        return None
    section = parser[name]
    return Credentials(
        section.get("aws_access_key_id", ""),
        section.get("aws_secret_access_key", ""),
        section.get("aws_session_token", ""),
    )


def sign(
    credentials: Credentials, region: str, service: str, url: str, headers: Mapping[str, str], body: bytes, now: int
) -> dict[str, str]:
    """The headers to send with a POST.

    Args:
        credentials: who signs.
        region: of Amazon, such as ``us-east-1``.
        service: of Amazon, such as ``sns``.
        url: where to; it has no query.
        headers: those that are to be signed beside ``Host`` and ``X-Amz-Date``.
        body: what is sent.
        now: milliseconds.
    """
    parts = urlsplit(url)
    stamp = f"{datetime.fromtimestamp(now / 1000, UTC):%Y%m%dT%H%M%SZ}"
    sent = {**headers, "X-Amz-Date": stamp}
    if credentials.token:
        sent["X-Amz-Security-Token"] = credentials.token
    signed = dict(sorted({"host": parts.netloc, **{name.lower(): text.strip() for name, text in sent.items()}}.items()))
    names = ";".join(signed)
    lines = "".join(f"{name}:{text}\n" for name, text in signed.items())
    request = "\n".join(["POST", parts.path or "/", "", lines, names, hashlib.sha256(body).hexdigest()])
    scope = f"{stamp[:8]}/{region}/{service}/aws4_request"
    text = "\n".join([_ALGORITHM, stamp, scope, hashlib.sha256(request.encode()).hexdigest()])
    key = f"AWS4{credentials.secret_key}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    who = f"{_ALGORITHM} Credential={credentials.access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
    return {**sent, "Authorization": who}
