"""A small Kubernetes API server: lists in pages, watches with resource versions and bookmarks, selectors, HTTP 410.

It speaks the API's own REST protocol over HTTP, so that the real client talks to it; it is no cluster, and what a real
one does beyond that protocol (admission, RBAC, API priority) is not here.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from tests.server.scrape.parts import serving

Object = dict[str, Any]


class Cluster:
    """Objects by plural, and what happened to them.

    Attributes:
        requests: path and parameters of everything that was asked.
        token: what a client must show; nothing when empty.
        failing: status with which everything is answered; 0 for none.
        watching: how many watches are open.
    """

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.token = ""
        self.failing = 0
        self.watching = 0
        self._objects: dict[str, dict[tuple[str, str], Object]] = {}
        self._events: list[tuple[int, str, Object]] = []
        self._version = 100
        self._forgotten = 0
        self._news = asyncio.Condition()
        self._cut = 0

    async def put(self, plural: str, found: Object) -> None:
        """Create or replace an object."""
        metadata = found["metadata"]
        key = metadata.get("namespace", ""), metadata["name"]
        objects = self._objects.setdefault(plural, {})
        kind = "MODIFIED" if key in objects else "ADDED"
        objects[key] = found
        await self._tell(plural, kind, found)

    async def delete(self, plural: str, name: str, namespace: str = "shop") -> None:
        """Delete an object."""
        await self._tell(plural, "DELETED", self._objects[plural].pop((namespace, name)))

    async def bookmark(self, plural: str) -> None:
        """Tell watches how far they are, as a server does from time to time."""
        await self._tell(plural, "BOOKMARK", {"metadata": {}})

    async def error(self, plural: str, code: int) -> None:
        """End watches with an error event."""
        self._version += 1
        self._events.append(
            (self._version, plural, {"type": "ERROR", "object": {"code": code, "message": "compacted"}})
        )
        async with self._news:
            self._news.notify_all()

    async def forget(self) -> None:
        """Compact: versions up to now can no longer be watched; open watches end."""
        self._version += 1
        self._forgotten = self._version
        self._cut += 1
        self._events.clear()
        async with self._news:
            self._news.notify_all()

    async def _tell(self, plural: str, kind: str, found: Object) -> None:
        self._version += 1
        found["metadata"]["resourceVersion"] = str(self._version)
        event = {"type": kind, "object": json.loads(json.dumps(found))}
        self._events.append((self._version, plural, event))
        async with self._news:
            self._news.notify_all()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """The URL at which it answers."""
        async with serving(self) as address:
            yield f"http://{address}"

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        """Answer."""
        asked = dict(request.query)
        self.requests.append((request.path, asked))
        if self.failing:
            return web.json_response({"kind": "Status", "message": "etcd is away"}, status=self.failing)
        if self.token and request.headers.get("Authorization", "").lower() != f"bearer {self.token}":
            return web.json_response({"kind": "Status", "message": "Unauthorized"}, status=401)
        parts = request.path.split("/")
        namespace = parts[parts.index("namespaces") + 1] if "namespaces" in parts else ""
        if asked.get("watch"):
            return await self._watch(request, parts[-1], namespace, asked)
        return self._list(parts[-1], namespace, asked)

    def _list(self, plural: str, namespace: str, asked: dict[str, str]) -> web.Response:
        found = [one for _, one in sorted(self._objects.get(plural, {}).items()) if _wanted(one, namespace, asked)]
        begin = int(asked.get("continue", "0"))
        if begin and begin <= self._forgotten:
            return web.json_response({"kind": "Status", "message": "expired"}, status=410)
        end = begin + min(int(asked["limit"]), 2)  # pages of two, as a server may give fewer than asked for
        more = {"continue": str(end)} if end < len(found) else {}
        metadata = {"resourceVersion": str(self._version), **more}
        return web.json_response({"kind": "List", "metadata": metadata, "items": found[begin:end]})

    async def _watch(
        self, request: web.Request, plural: str, namespace: str, asked: dict[str, str]
    ) -> web.StreamResponse:
        version, cut = int(asked["resourceVersion"]), self._cut
        if version < self._forgotten:
            return web.json_response({"kind": "Status", "code": 410, "message": "too old"}, status=410)
        answer = web.StreamResponse(headers={"Content-Type": "application/json"})
        await answer.prepare(request)
        self.watching += 1
        try:
            while cut == self._cut and request.transport is not None:
                for at, of, event in self._events:
                    wanted = event["type"] in {"ERROR", "BOOKMARK"} or _wanted(event["object"], namespace, asked)
                    if at > version and of == plural and wanted:
                        # In two pieces: a line may come in any.
                        line = json.dumps(event).encode() + b"\n"
                        await answer.write(line[:20])
                        await answer.write(line[20:])
                version = max([version, *(at for at, _, _ in self._events)])
                async with self._news:
                    await self._news.wait()
        except ConnectionResetError:
            pass  # the client has gone
        finally:
            self.watching -= 1
        return answer


def _wanted(found: Object, namespace: str, asked: dict[str, str]) -> bool:
    metadata = found["metadata"]
    if namespace and metadata.get("namespace") != namespace:
        return False
    labels = metadata.get("labels") or {}
    selectors = [part.partition("=") for part in asked.get("labelSelector", "").split(",") if part]
    fields = [part.partition("=") for part in asked.get("fieldSelector", "").split(",") if part]
    return all(labels.get(name) == value for name, _, value in selectors) and all(
        metadata.get(name.removeprefix("metadata.")) == value for name, _, value in fields
    )


def pod(name: str, ip: str, *, namespace: str = "shop", **labels: str) -> Object:
    """A running pod with a port, one container without, and an init container."""
    return {
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": f"uid-{name}",
            "labels": {"app.kubernetes.io/name": "shop", **labels},
            "annotations": {"prometheus.io/scrape": "true"},
            "ownerReferences": [{"kind": "Job", "name": "x"}, {"kind": "ReplicaSet", "name": "rs", "controller": True}],
        },
        "spec": {
            "nodeName": "node-1",
            "containers": [
                {
                    "name": "web",
                    "image": "shop:1",
                    "ports": [
                        {"name": "http", "containerPort": 8000, "protocol": "TCP"},
                        {"name": "metrics", "containerPort": 9000, "protocol": "TCP"},
                    ],
                },
                {"name": "side", "image": "side:1"},
            ],
            "initContainers": [{"name": "init", "image": "init:1"}],
        },
        "status": {
            "phase": "Running",
            "podIP": ip,
            "hostIP": "192.168.0.1",
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [{"name": "web", "containerID": "containerd://abc"}],
        },
    }


def node(name: str = "node-1") -> Object:
    """A node with two addresses."""
    return {
        "metadata": {"name": name, "labels": {"zone": "a"}, "annotations": {"note": "b"}},
        "spec": {"providerID": "cloud:///x"},
        "status": {
            "addresses": [
                {"type": "Hostname", "address": name},
                {"type": "InternalIP", "address": "10.9.0.1"},
                {"type": "InternalIP", "address": "10.9.0.2"},
            ],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
        },
    }


def service(name: str = "web", **spec: Any) -> Object:
    """A service with a port."""
    return {
        "metadata": {"name": name, "namespace": "shop", "labels": {"team": "a"}},
        "spec": {
            "type": "ClusterIP",
            "clusterIP": "10.1.0.1",
            "ports": [{"name": "http", "port": 80, "protocol": "TCP"}],
            **spec,
        },
    }
