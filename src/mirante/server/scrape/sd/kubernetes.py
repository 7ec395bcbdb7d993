"""``kubernetes_sd_configs``: what a Kubernetes cluster runs, followed by watches.

Each kind of object that a role needs is kept by a watch in a thread of its own. Changes come in bursts, so groups are
made anew at most every second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress

from mirante.server.scrape.discovery import Publish, Reporter, Sleep, kept
from mirante.server.scrape.model import KubernetesRole, KubernetesSd, TargetGroup
from mirante.server.scrape.sd.kubernetes_api import Failure, KubernetesApi, ObjectWatch
from mirante.server.scrape.sd.kubernetes_objects import Key, Object, Objects, groups_of

_SETTLE_SECONDS = 1.0
_RETRY_SECONDS = 10.0
_ALSO: Mapping[KubernetesRole, tuple[KubernetesRole, ...]] = {
    "endpoints": ("service", "pod"),
    "endpointslice": ("service", "pod"),
}
_WITH_NODE: frozenset[KubernetesRole] = frozenset({"pod", "endpoints", "endpointslice"})


class KubernetesDiscovery:
    """Follows one ``kubernetes_sd_configs`` entry."""

    def __init__(self, sd: KubernetesSd, reporter: Reporter, sleep: Sleep) -> None:
        self._sd, self._reporter, self._sleep = sd, reporter, sleep
        self._published: list[TargetGroup] | None = None

    async def run(self, publish: Publish) -> None:
        """Publish what the cluster runs, for ever."""
        api = await self._connect()
        news = _News(asyncio.get_running_loop(), self._reporter)
        watches = self._watches(api, await self._namespaces(api), news)
        for watch in (watch for found in watches.values() for watch in found):
            watch.start()
        try:
            while True:
                await news.wait()
                groups = await asyncio.to_thread(self._groups, watches)
                if groups is not None and groups != self._published:
                    self._published = kept(self._published, groups)
                    await publish(self._published)
                await self._sleep(_SETTLE_SECONDS)
        finally:
            await asyncio.to_thread(_stop, watches, api)

    async def _connect(self) -> KubernetesApi:
        while True:
            try:
                return await asyncio.to_thread(KubernetesApi, self._sd)
            except Failure as error:
                self._reporter.failed("kubernetes", str(error))
                await self._sleep(_RETRY_SECONDS)

    async def _namespaces(self, api: KubernetesApi) -> tuple[str, ...]:
        while True:
            try:
                return api.namespaces()
            except OSError as error:
                self._reporter.failed("kubernetes", f"the own namespace is not known: {error}")
                await self._sleep(_RETRY_SECONDS)

    def _watches(
        self, api: KubernetesApi, namespaces: tuple[str, ...], news: _News
    ) -> dict[KubernetesRole, list[ObjectWatch]]:
        role = self._sd.role
        needed = [role, *_ALSO.get(role, ())]
        if self._sd.attach_node and role in _WITH_NODE:
            needed.append("node")
        selectors = {selector.role: selector for selector in self._sd.selectors}
        watches: dict[KubernetesRole, list[ObjectWatch]] = {}
        for kind in needed:
            chosen, fields = selectors.get(kind), {}
            if chosen is not None:
                fields = {"labelSelector": chosen.label, "fieldSelector": chosen.field}
            fields = {name: text for name, text in fields.items() if text}
            places = ("",) if kind == "node" else namespaces  # nodes belong to no namespace
            watches[kind] = [ObjectWatch(api, api.path(kind, place), fields, news) for place in places]
        return watches

    def _groups(self, watches: Mapping[KubernetesRole, list[ObjectWatch]]) -> list[TargetGroup] | None:
        """The groups; None as long as a list is missing."""
        read: dict[KubernetesRole, dict[Key, Object]] = {}
        for kind, found in watches.items():
            objects = [watch.objects() for watch in found]
            present = [one for one in objects if one is not None]
            if len(present) < len(objects):
                return None
            read[kind] = {key: one for part in present for key, one in part.items()}
        role = self._sd.role
        services, pods, nodes = (read.get(kind, {}) for kind in _LOOKED_UP)
        return groups_of(role, Objects(read[role], services, pods, nodes))


_LOOKED_UP: tuple[KubernetesRole, ...] = ("service", "pod", "node")


class _News:
    """Brings what the threads of watches tell to the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, reporter: Reporter) -> None:
        self._loop, self._reporter = loop, reporter
        self._event = asyncio.Event()

    async def wait(self) -> None:
        """Wait until something has changed since the last call."""
        await self._event.wait()
        self._event.clear()

    def changed(self) -> None:
        """Wake the discovery."""
        self._tell(self._event.set)

    def failed(self, path: str, reason: str) -> None:
        """Pass it on."""
        self._tell(self._reporter.failed, path, reason)

    def worked(self, path: str) -> None:
        """Pass it on."""
        self._tell(self._reporter.worked, path)

    def _tell(self, call: Callable[..., object], *arguments: str) -> None:
        with suppress(RuntimeError):  # the loop has been closed: nobody is left to be told
            self._loop.call_soon_threadsafe(call, *arguments)


def _stop(watches: Mapping[KubernetesRole, list[ObjectWatch]], api: KubernetesApi) -> None:
    for watch in (watch for found in watches.values() for watch in found):
        watch.stop()
    api.close()
