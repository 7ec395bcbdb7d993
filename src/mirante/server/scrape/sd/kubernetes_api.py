"""The Kubernetes API as far as discovery needs it: lists of objects and watches on them.

The ``kubernetes`` client finds and renews credentials and opens connections; objects are read as plain JSON, as its
models would cost far more than the answers themselves. Source: kubernetes.io, "Kubernetes API Concepts".
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import orjson
import urllib3
from kubernetes import client, config

from mirante.errors import ScrapeError
from mirante.server.http_client.connection import USER_AGENT, authorize, proxy_for
from mirante.server.scrape.model import KubernetesRole, KubernetesSd
from mirante.server.scrape.sd.kubernetes_objects import Key, Object, key_of

_PATHS: Mapping[KubernetesRole, tuple[str, str]] = {
    "node": ("/api/v1", "nodes"),
    "service": ("/api/v1", "services"),
    "pod": ("/api/v1", "pods"),
    "endpoints": ("/api/v1", "endpoints"),
    "endpointslice": ("/apis/discovery.k8s.io/v1", "endpointslices"),
    "ingress": ("/apis/networking.k8s.io/v1", "ingresses"),
}
_OWN_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_PAGE = "500"
_WATCH_SECONDS = 300
_TIMEOUT = urllib3.Timeout(connect=10, read=60)
_WATCH_TIMEOUT = urllib3.Timeout(connect=10, read=_WATCH_SECONDS + 30)
_PAUSE_SECONDS = 1.0  # between watches, so that a server that ends them at once is not flooded
_STOP_SECONDS = 2.0
_RETRY_SECONDS = (1.0, 2.0, 5.0, 10.0, 30.0)
_CHUNK = 1 << 16
_GONE = 410  # the server has forgotten the version that was asked for

Failure = (ScrapeError, OSError, ValueError, urllib3.exceptions.HTTPError)
"""What an API that cannot be used, or an answer that is none, raises."""


class KubernetesApi:
    """Requests to one API server.

    Raises:
        ScrapeError: there are no credentials.
    """

    def __init__(self, sd: KubernetesSd) -> None:
        self._sd = sd
        self._configuration = _configuration(sd)
        self._client = client.ApiClient(self._configuration)

    def namespaces(self) -> tuple[str, ...]:
        """The namespaces to look into; the empty string stands for all of them.

        Raises:
            OSError: the own namespace is not known, because this is not a pod.
        """
        own = (_OWN_NAMESPACE.read_text(encoding="utf-8").strip(),) if self._sd.own_namespace else ()
        return tuple(dict.fromkeys((*self._sd.namespaces, *own))) or ("",)

    def path(self, role: KubernetesRole, namespace: str) -> str:
        """Where the objects of a role are."""
        group, name = _PATHS[role]
        return f"{group}/namespaces/{namespace}/{name}" if namespace else f"{group}/{name}"

    def get(self, path: str, fields: Mapping[str, str], *, watch: bool = False) -> urllib3.BaseHTTPResponse:
        """A GET that was answered with 200, or with 410; with ``watch`` the body is still to be read.

        Raises:
            ScrapeError: another status, with the server's reason.
            OSError: no credentials.
            urllib3.exceptions.HTTPError: no answer.
        """
        answer = self._client.rest_client.pool_manager.request(
            "GET",
            self._configuration.host.rstrip("/") + path,
            fields=dict(fields),
            headers=self._headers(),
            preload_content=not watch,
            timeout=_WATCH_TIMEOUT if watch else _TIMEOUT,
            retries=False,
        )
        if answer.status in {200, _GONE}:
            return answer
        message = answer.data.decode("utf-8", "replace")[:500]
        raise ScrapeError(f"the API server answered {path} with HTTP status {answer.status}: {message}")

    def close(self) -> None:
        """Close idle connections."""
        self._client.rest_client.pool_manager.clear()

    def _headers(self) -> dict[str, str]:
        headers = {"Accept": "application/json", "User-Agent": USER_AGENT}
        if self._sd.http.authorization is not None:
            headers["Authorization"] = authorize(self._sd.http.authorization)
        for way in self._configuration.auth_settings().values():
            if way["in"] == "header" and way["value"]:
                headers[way["key"]] = way["value"]
        return headers


class Sink(Protocol):
    """What a watch tells; called in the watch's thread."""

    def changed(self) -> None:
        """Objects have been read, or changed."""
        ...

    def failed(self, path: str, reason: str) -> None:
        """The API cannot be read; what was read stays."""
        ...

    def worked(self, path: str) -> None:
        """The API can be read."""
        ...


class ObjectWatch:
    """Keeps the objects at one path: lists them, then follows every change, in a thread of its own.

    Args:
        api: the server.
        path: of the objects.
        fields: selectors.
        sink: is told.
    """

    def __init__(self, api: KubernetesApi, path: str, fields: Mapping[str, str], sink: Sink) -> None:
        self._api, self._path, self._fields, self._sink = api, path, dict(fields), sink
        self._lock = threading.Lock()
        self._objects: dict[Key, Object] = {}
        self._listed = False
        self._stopped = threading.Event()
        self._answer: urllib3.BaseHTTPResponse | None = None
        self._thread = threading.Thread(target=self._run, name=f"mirante-watch {path}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Stop; a watch under way is cut off, a list that hangs is left to its own timeout."""
        self._stopped.set()
        with self._lock:
            _cut(self._answer)
        self._thread.join(_STOP_SECONDS)

    def objects(self) -> dict[Key, Object] | None:
        """The objects as they are now; None before the first list."""
        with self._lock:
            return dict(self._objects) if self._listed else None

    def _run(self) -> None:
        failures = 0
        while not self._stopped.is_set():
            try:
                version = self._list()
                self._sink.worked(self._path)
                failures = 0
                self._follow(version)
            except Failure as error:
                if self._stopped.is_set():
                    return
                self._sink.failed(self._path, str(error) or type(error).__name__)
                self._stopped.wait(_RETRY_SECONDS[min(failures, len(_RETRY_SECONDS) - 1)])
                failures += 1

    def _list(self) -> str:
        """Read all objects, page by page; gives the version from which a watch goes on."""
        found: dict[Key, Object] = {}
        page = {"limit": _PAGE, **self._fields}
        while True:
            got = self._api.get(self._path, page)
            if got.status == _GONE:
                raise ScrapeError("the list changed too much while it was read")
            answer = orjson.loads(got.data)
            found.update({key_of(one): one for one in answer.get("items") or ()})
            more = answer["metadata"].get("continue")
            if not more:
                break
            page["continue"] = more
        with self._lock:
            self._objects, self._listed = found, True
        self._sink.changed()
        return str(answer["metadata"].get("resourceVersion", ""))

    def _follow(self, version: str) -> None:
        """Watch from that version on, again and again, until stopped or the server has forgotten it."""
        while not self._stopped.is_set():
            fields = {
                **self._fields,
                "watch": "1",
                "allowWatchBookmarks": "true",
                "timeoutSeconds": str(_WATCH_SECONDS),
                "resourceVersion": version,
            }
            with self._open(fields) as answer:
                if answer.status == _GONE:
                    return
                for event in _lines(answer):
                    if event["type"] == "ERROR" and event["object"].get("code") == _GONE:
                        return
                    version = self._take(event) or version
            self._stopped.wait(_PAUSE_SECONDS)

    @contextmanager
    def _open(self, fields: Mapping[str, str]) -> Iterator[urllib3.BaseHTTPResponse]:
        """A watch that ``stop`` can cut off."""
        answer = self._api.get(self._path, fields, watch=True)
        with self._lock:
            self._answer = answer
        if self._stopped.is_set():  # stop() may have come before there was anything to cut off
            _cut(answer)
        try:
            yield answer
        finally:
            with self._lock:
                self._answer = None
            answer.close()

    def _take(self, event: Mapping[str, Any]) -> str:
        """Apply one event; gives the version at which it happened."""
        kind, found = event["type"], event["object"]
        if kind == "ERROR":
            raise ScrapeError(f"the watch ended: {found.get('message', 'no reason given')}")
        if kind != "BOOKMARK":
            with self._lock:
                objects = self._objects
                if kind == "DELETED":
                    objects.pop(key_of(found), None)
                else:
                    objects[key_of(found)] = found
            self._sink.changed()
        return str(found["metadata"].get("resourceVersion", ""))


def _lines(answer: urllib3.BaseHTTPResponse) -> Iterator[Mapping[str, Any]]:
    """The events of a watch: a JSON object a line."""
    rest = b""
    for chunk in answer.stream(_CHUNK, decode_content=True):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in filter(None, lines):
            yield orjson.loads(line)


def _cut(answer: urllib3.BaseHTTPResponse | None) -> None:
    """End an answer that another thread is reading."""
    if answer is not None:
        with suppress(ValueError, RuntimeError):  # it has just ended by itself
            answer.shutdown()


def _configuration(sd: KubernetesSd) -> Any:  # noqa: ANN401 - the client has no types
    made = client.Configuration()
    try:
        if sd.kubeconfig is not None:
            load_kubeconfig: Any = config.load_kube_config
            load_kubeconfig(str(sd.kubeconfig), client_configuration=made, persist_config=False)
        elif not sd.api_server:
            load_own: Any = config.load_incluster_config
            load_own(client_configuration=made)
        else:
            made.host = sd.api_server
            _take_http(made, sd)
    except (config.ConfigException, OSError) as error:
        raise ScrapeError(f"no access to the Kubernetes API: {error}") from None
    return made


def _take_http(made: Any, sd: KubernetesSd) -> None:  # noqa: ANN401 - as above
    tls = sd.http.tls
    made.verify_ssl = not tls.insecure_skip_verify
    made.ssl_ca_cert = str(tls.ca_file) if tls.ca_file else None
    made.ca_cert_data = tls.ca or None
    made.cert_file = str(tls.cert_file) if tls.cert_file else None
    made.key_file = str(tls.key_file) if tls.key_file else None
    made.tls_server_name = tls.server_name or None
    made.proxy = proxy_for(sd.http.proxy, sd.api_server) or None
