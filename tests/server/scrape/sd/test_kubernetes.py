"""Kubernetes discovery against a small API server that speaks the real protocol over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from mirante.errors import ConfigError
from mirante.server.http_client.model import Authorization, HttpClient, Secret
from mirante.server.scrape.model import KubernetesRole, KubernetesSd, Selector
from mirante.server.scrape.sd import kubernetes, kubernetes_api, make
from tests.server.scrape.parts import Discovered
from tests.server.scrape.sd.cluster import Cluster, node, pod, service
from tests.waiting import eventually


class Impatient(Discovered):
    """Sleeps hardly at all: here the threads of watches decide when there is something to do."""

    @asynccontextmanager
    async def following(self, cluster: Cluster, role: KubernetesRole = "pod", **sd: Any) -> AsyncIterator[None]:
        """Run a discovery on a cluster."""
        async with cluster.serving() as url:
            found = KubernetesSd(role, **{"api_server": url, **sd})
            discovery = make.make_discovery(found, "a", self.failures, lambda _: asyncio.sleep(0.01))
            task = asyncio.create_task(discovery.run(self.publish))
            try:
                yield
                assert not task.done(), task
            finally:
                task.cancel()
                await asyncio.wait({task})

    async def until(self, *addresses: str) -> None:
        """Wait until exactly these targets have been published."""
        await eventually(lambda: self.published and sorted(set(self.addresses())) == sorted(addresses))


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries follow at once."""
    monkeypatch.setattr(kubernetes_api, "_RETRY_SECONDS", (0.01,))
    monkeypatch.setattr(kubernetes_api, "_PAUSE_SECONDS", 0.01)


def test_pods_are_listed_then_watched() -> None:
    """All pages of the list, then what comes, changes and goes, each from the version before; stopping ends watches."""

    async def main() -> None:
        cluster, found = Cluster(), Impatient()
        for n in range(5):
            await cluster.put("pods", pod(f"web-{n}", f"10.0.0.{n}"))
        async with found.following(cluster):
            await found.until(*(f"10.0.0.{n}{port}" for n in range(5) for port in ("", ":8000", ":9000")))
            await cluster.delete("pods", "web-0")
            await cluster.bookmark("pods")
            for n in (1, 2, 3):
                await cluster.delete("pods", f"web-{n}")
            await cluster.put("pods", pod("web-4", "10.0.1.4"))
            await found.until("10.0.1.4", "10.0.1.4:8000", "10.0.1.4:9000")
            (watch,) = [asked for _, asked in cluster.requests if "watch" in asked]
            assert (watch["resourceVersion"], watch["allowWatchBookmarks"]) == ("105", "true")
            assert [asked["limit"] for _, asked in cluster.requests if "watch" not in asked] == ["500"] * 3
            assert cluster.watching == 1
        await cluster.bookmark("pods")  # the server notices at its next word that nobody listens
        assert found.failures == {}

    asyncio.run(main())


@pytest.mark.parametrize("how", ["compacted", "error event"])
def test_a_version_that_is_forgotten_is_listed_anew(how: str) -> None:
    """HTTP 410 for a watch, or in the middle of one: nothing that changed meanwhile is missed."""

    async def main() -> None:
        cluster, found = Cluster(), Impatient()
        await cluster.put("services", service())
        async with found.following(cluster, "service"):
            await found.until("web.shop.svc:80")
            await eventually(lambda: cluster.watching)
            await cluster.put("services", service("two"))
            await found.until("two.shop.svc:80", "web.shop.svc:80")
            if how == "compacted":
                await cluster.delete("services", "web")
                await cluster.forget()
            else:
                await cluster.error("services", 410)
                await cluster.delete("services", "web")
            await found.until("two.shop.svc:80")
            await cluster.put("services", service("three"))
            await found.until("three.shop.svc:80", "two.shop.svc:80")
        assert found.failures == {}

    asyncio.run(main())


def test_an_api_that_fails_keeps_the_last_targets(caplog: pytest.LogCaptureFixture) -> None:
    """The reason is told once; when it is back, so are its changes."""

    async def main() -> None:
        cluster, found = Cluster(), Impatient()
        await cluster.put("nodes", node())
        async with found.following(cluster, "node"):
            await found.until("10.9.0.1:10250")
            await eventually(lambda: cluster.watching)
            cluster.failing = 503
            await cluster.error("nodes", 500)
            await eventually(lambda: found.failures["kubernetes"] > 2)
            assert found.addresses() == ["10.9.0.1:10250"]
            await cluster.delete("nodes", "node-1", "")
            cluster.failing = 0
            await found.until()

    with caplog.at_level("INFO"):
        asyncio.run(main())
    assert "the watch ended: compacted" in caplog.text
    assert caplog.text.count("HTTP status 503") == 1
    assert "etcd is away" in caplog.text
    assert "/api/v1/nodes can be read again" in caplog.text


def test_endpoints_look_up_services_pods_and_nodes() -> None:
    """In every namespace that is named; nodes, which have none, once; nothing is published before all is read."""

    async def main() -> None:
        cluster, found = Cluster(), Impatient()
        reference = {"kind": "Pod", "name": "web-1", "namespace": "shop"}
        part = {
            "metadata": {"name": "web-x", "namespace": "shop", "labels": {"kubernetes.io/service-name": "web"}},
            "ports": [{"name": "http", "port": 8000}],
            "endpoints": [{"addresses": ["10.0.0.1"], "nodeName": "node-1", "targetRef": reference}],
        }
        await cluster.put("endpointslices", part)
        await cluster.put("services", service())
        await cluster.put("pods", pod("web-1", "10.0.0.1"))
        await cluster.put("nodes", node())
        async with found.following(cluster, "endpointslice", namespaces=("shop", "other"), attach_node=True):
            await found.until("10.0.0.1:8000", "10.0.0.1:9000")
            ((group,),) = found.published
            assert group.labels["__meta_kubernetes_service_name"] == "web"
            assert group.targets[0]["__meta_kubernetes_pod_name"] == "web-1"
            assert group.targets[0]["__meta_kubernetes_node_label_zone"] == "a"
            assert {path for path, _ in cluster.requests} == {
                "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices",
                "/apis/discovery.k8s.io/v1/namespaces/other/endpointslices",
                "/api/v1/namespaces/shop/services",
                "/api/v1/namespaces/other/services",
                "/api/v1/namespaces/shop/pods",
                "/api/v1/namespaces/other/pods",
                "/api/v1/nodes",
            }
            await cluster.put("pods", pod("web-1", "10.0.0.1", tier="front"))
            await eventually(lambda: "__meta_kubernetes_pod_label_tier" in found.published[-1][0].targets[0])

    asyncio.run(main())


def test_selectors_and_credentials_are_passed_on() -> None:
    """The server chooses; the token is the configuration's."""

    async def main() -> None:
        cluster, found = Cluster(), Impatient()
        cluster.token = "secret"  # noqa: S105 - a test's own
        await cluster.put("ingresses", {"metadata": {"name": "a", "namespace": "shop", "labels": {"app": "x"}},
                                        "spec": {"rules": [{"host": "a.test"}]}})  # fmt: skip
        await cluster.put("ingresses", {"metadata": {"name": "b", "namespace": "shop", "labels": {"app": "x"}},
                                        "spec": {"rules": [{"host": "b.test"}]}})  # fmt: skip
        chosen = (Selector("ingress", "app=x", "metadata.name=a"),)
        http = HttpClient(authorization=Authorization("Bearer", Secret("secret")))
        async with found.following(cluster, "ingress", selectors=chosen, http=http):
            await found.until("a.test")

    asyncio.run(main())


def test_a_kubeconfig_is_taken(tmp_path: Path) -> None:
    """The client's own reader finds server and token in it."""
    path = tmp_path / "config"

    async def main() -> None:
        cluster, found = Cluster(), Impatient()
        cluster.token = "secret"  # noqa: S105 - a test's own
        await cluster.put("nodes", node())
        async with cluster.serving() as url:
            named = {"clusters": [{"name": "c", "cluster": {"server": url}}],
                     "users": [{"name": "u", "user": {"token": "secret"}}],
                     "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}]}  # fmt: skip
            path.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Config", "current-context": "x", **named}))
            async with found.following(Cluster(), "node", api_server="", kubeconfig=path):
                await found.until("10.9.0.1:10250")

    asyncio.run(main())


def test_the_own_namespace_is_that_of_the_pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stands in a file of the service account; the names that are given come besides."""
    own = tmp_path / "namespace"
    monkeypatch.setattr(kubernetes_api, "_OWN_NAMESPACE", own)
    monkeypatch.setattr(kubernetes, "_RETRY_SECONDS", 0.01)

    async def main() -> None:
        cluster, found = Cluster(), Impatient()
        await cluster.put("pods", pod("a", "10.0.0.1", namespace="mine"))
        await cluster.put("pods", pod("b", "10.0.0.2", namespace="other"))
        async with found.following(cluster, own_namespace=True, namespaces=("mine",)):
            await eventually(lambda: found.failures["kubernetes"])
            own.write_text("mine\n")
            await found.until("10.0.0.1", "10.0.0.1:8000", "10.0.0.1:9000")
            assert {path for path, _ in cluster.requests} == {"/api/v1/namespaces/mine/pods"}

    asyncio.run(main())


def test_outside_a_cluster_it_is_said_what_is_missing(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without ``api_server`` and ``kubeconfig_file`` a service account is needed."""
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)

    async def main() -> None:
        found = Impatient()
        async with found.following(Cluster(), api_server=""):
            await eventually(lambda: found.failures["kubernetes"])

    asyncio.run(main())
    assert "no access to the Kubernetes API: Service host/port is not set" in caplog.text


def test_the_client_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it the configuration is refused, with what to install."""
    monkeypatch.setattr(make, "find_spec", lambda _: None)
    found = Discovered()
    with pytest.raises(ConfigError, match=r'pip install "mirante\[server,kubernetes\]"'):
        make.make_discovery(KubernetesSd("pod"), "a", found.failures, found.steps.sleep)
