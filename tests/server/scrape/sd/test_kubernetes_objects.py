"""What objects of a cluster come to: Prometheus's labels, role by role."""

from __future__ import annotations

from typing import Any

import pytest

from mirante.server.scrape.model import KubernetesRole, TargetGroup
from mirante.server.scrape.sd.kubernetes_objects import Objects, groups_of, key_of
from tests.server.scrape.sd.cluster import Object, node, pod, service

M = "__meta_kubernetes_"
SERVICE = {
    f"{M}namespace": "shop",
    f"{M}service_name": "web",
    f"{M}service_label_team": "a",
    f"{M}service_labelpresent_team": "true",
}
POD = {
    f"{M}pod_name": "web-1",
    f"{M}pod_ip": "10.0.0.1",
    f"{M}pod_ready": "true",
    f"{M}pod_phase": "Running",
    f"{M}pod_node_name": "node-1",
    f"{M}pod_host_ip": "192.168.0.1",
    f"{M}pod_uid": "uid-web-1",
    f"{M}pod_controller_kind": "ReplicaSet",
    f"{M}pod_controller_name": "rs",
    f"{M}pod_label_app_kubernetes_io_name": "shop",
    f"{M}pod_labelpresent_app_kubernetes_io_name": "true",
    f"{M}pod_annotation_prometheus_io_scrape": "true",
    f"{M}pod_annotationpresent_prometheus_io_scrape": "true",
}
NODE = {
    f"{M}node_name": "node-1",
    f"{M}node_label_zone": "a",
    f"{M}node_labelpresent_zone": "true",
    f"{M}node_annotation_note": "b",
    f"{M}node_annotationpresent_note": "true",
}


def port_of_web(name: str, number: int) -> dict[str, str]:
    """The labels of a container's port."""
    return {
        f"{M}pod_container_name": "web",
        f"{M}pod_container_id": "containerd://abc",
        f"{M}pod_container_image": "shop:1",
        f"{M}pod_container_init": "false",
        f"{M}pod_container_port_name": name,
        f"{M}pod_container_port_number": str(number),
        f"{M}pod_container_port_protocol": "TCP",
    }


def only(role: KubernetesRole, found: Object, **others: dict[tuple[str, str], Object]) -> TargetGroup:
    """The group of one object."""
    (group,) = groups_of(role, Objects({key_of(found): found}, **others))
    return group


def test_a_node_is_its_kubelet() -> None:
    """The address by preference; the first of each type as a label."""
    assert only("node", node()) == TargetGroup(
        "node/node-1",
        (
            {
                "__address__": "10.9.0.1:10250",
                "instance": "node-1",
                f"{M}node_address_InternalIP": "10.9.0.1",
                f"{M}node_address_Hostname": "node-1",
            },
        ),
        {**NODE, f"{M}node_provider_id": "cloud:///x"},
    )
    assert only("node", {"metadata": {"name": "young"}}).targets == ()


@pytest.mark.parametrize(
    ("spec", "labels"),
    [
        ({}, {"service_type": "ClusterIP", "service_cluster_ip": "10.1.0.1"}),
        (
            {"type": "LoadBalancer", "loadBalancerIP": "1.2.3.4"},
            {
                "service_type": "LoadBalancer",
                "service_cluster_ip": "10.1.0.1",
                "service_loadbalancer_ip": "1.2.3.4",
            },
        ),
        (
            {"type": "ExternalName", "externalName": "a.test"},
            {"service_type": "ExternalName", "service_external_name": "a.test"},
        ),
    ],
)
def test_a_service_is_a_target_for_each_port(spec: dict[str, Any], labels: dict[str, str]) -> None:
    """At its name in the cluster."""
    port = {"service_port_name": "http", "service_port_number": "80", "service_port_protocol": "TCP"}
    target = {"__address__": "web.shop.svc:80", **{M + name: value for name, value in {**port, **labels}.items()}}
    assert only("service", service(**spec)) == TargetGroup("svc/shop/web", (target,), SERVICE)


def test_a_pod_is_a_target_for_each_port_of_its_containers() -> None:
    """A container without ports is one at the bare address; with ``attach_metadata`` the node's labels come along."""
    group = only("pod", pod("web-1", "10.0.0.1"), nodes={("", "node-1"): node()})
    assert (group.source, group.labels) == ("pod/shop/web-1", {f"{M}namespace": "shop", **POD, **NODE})
    http, metrics, side, init = group.targets
    assert http == {"__address__": "10.0.0.1:8000", **port_of_web("http", 8000)}
    assert metrics == {"__address__": "10.0.0.1:9000", **port_of_web("metrics", 9000)}
    assert side == {
        "__address__": "10.0.0.1",
        f"{M}pod_container_name": "side",
        f"{M}pod_container_image": "side:1",
        f"{M}pod_container_init": "false",
    }
    assert (init[f"{M}pod_container_name"], init[f"{M}pod_container_init"]) == ("init", "true")


def test_a_pod_without_an_address_has_no_targets() -> None:
    """It has just been made; IPv6 addresses stand in brackets."""
    assert only("pod", pod("young", "")).targets == ()
    assert only("pod", pod("six", "fd00::1")).targets[0]["__address__"] == "[fd00::1]:8000"


def test_endpoints_are_targets_with_what_stands_behind_them() -> None:
    """Their service's and pods' labels; ports of those pods that the service does not name are targets too."""
    endpoints = {
        "metadata": {"name": "web", "namespace": "shop", "labels": {"x": "y"}},
        "subsets": [
            {
                "ports": [{"name": "http", "port": 8000, "protocol": "TCP"}],
                "addresses": [
                    {
                        "ip": "10.0.0.1",
                        "hostname": "h",
                        "nodeName": "node-1",
                        "targetRef": {"kind": "Pod", "name": "web-1", "namespace": "shop"},
                    }
                ],
                "notReadyAddresses": [
                    {"ip": "10.0.0.9", "targetRef": {"kind": "Pod", "name": "gone", "namespace": "shop"}}
                ],
            }
        ],
    }
    group = only(
        "endpoints",
        endpoints,
        services={("shop", "web"): service()},
        pods={("shop", "web-1"): pod("web-1", "10.0.0.1")},
        nodes={("", "node-1"): node()},
    )
    assert group.source == "endpoints/shop/web"
    about = {f"{M}endpoints_name": "web", f"{M}endpoints_label_x": "y", f"{M}endpoints_labelpresent_x": "true"}
    assert group.labels == {**SERVICE, **about}
    ready, other, metrics = group.targets
    port = {f"{M}endpoint_port_name": "http", f"{M}endpoint_port_protocol": "TCP"}
    assert ready == {
        "__address__": "10.0.0.1:8000",
        **port,
        f"{M}endpoint_ready": "true",
        f"{M}endpoint_node_name": "node-1",
        f"{M}endpoint_hostname": "h",
        f"{M}endpoint_address_target_kind": "Pod",
        f"{M}endpoint_address_target_name": "web-1",
        **NODE,
        **POD,
        **port_of_web("http", 8000),
    }
    assert other == {
        "__address__": "10.0.0.9:8000",
        **port,
        f"{M}endpoint_ready": "false",
        f"{M}endpoint_address_target_kind": "Pod",
        f"{M}endpoint_address_target_name": "gone",
    }
    assert metrics == {"__address__": "10.0.0.1:9000", **POD, **port_of_web("metrics", 9000)}


def test_slices_of_endpoints() -> None:
    """Conditions, topology, zone; a port may have no number; an endpoint may be a node."""
    part = {
        "metadata": {"name": "web-x", "namespace": "shop", "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv4",
        "ports": [
            {"name": "http", "port": 8000, "protocol": "TCP", "appProtocol": "http"},
            {"name": "any", "port": None},
        ],
        "endpoints": [
            {
                "addresses": ["10.0.0.1"],
                "conditions": {"ready": True, "serving": True, "terminating": None},
                "hostname": "h",
                "nodeName": "node-1",
                "zone": "z",
                "deprecatedTopology": {"topology.k8s.io/zone": "z"},
                "targetRef": {"kind": "Node", "name": "node-1"},
            }
        ],
    }
    group = only("endpointslice", part, services={("shop", "web"): service()}, nodes={("", "node-1"): node()})
    slice_labels = {
        f"{M}endpointslice_name": "web-x",
        f"{M}endpointslice_label_kubernetes_io_service_name": "web",
        f"{M}endpointslice_labelpresent_kubernetes_io_service_name": "true",
        f"{M}endpointslice_address_type": "IPv4",
    }
    assert group.labels == {**SERVICE, **slice_labels}
    about = {
        f"{M}endpointslice_endpoint_conditions_ready": "true",
        f"{M}endpointslice_endpoint_conditions_serving": "true",
        f"{M}endpointslice_endpoint_hostname": "h",
        f"{M}endpointslice_endpoint_node_name": "node-1",
        f"{M}endpointslice_endpoint_zone": "z",
        f"{M}endpointslice_endpoint_topology_topology_k8s_io_zone": "z",
        f"{M}endpointslice_endpoint_topology_present_topology_k8s_io_zone": "true",
        f"{M}endpointslice_address_target_kind": "Node",
        f"{M}endpointslice_address_target_name": "node-1",
        **NODE,
    }
    http, anything = group.targets
    assert http == {
        "__address__": "10.0.0.1:8000",
        f"{M}endpointslice_port_name": "http",
        f"{M}endpointslice_port_protocol": "TCP",
        f"{M}endpointslice_port": "8000",
        f"{M}endpointslice_port_app_protocol": "http",
        **about,
    }
    assert anything == {"__address__": "10.0.0.1", f"{M}endpointslice_port_name": "any", **about}


def test_an_ingress_is_a_target_for_each_path() -> None:
    """HTTPS where a certificate covers the host; one name below a wildcard is covered."""
    ingress = {
        "metadata": {"name": "in", "namespace": "shop"},
        "spec": {
            "ingressClassName": "nginx",
            "tls": [{"hosts": ["a.test", "*.wild.test"]}],
            "rules": [
                {"host": "a.test", "http": {"paths": [{"path": "/x"}, {"path": ""}]}},
                {"host": "b.wild.test"},
                {"host": "c.b.wild.test"},
            ],
        },
    }
    group = only("ingress", ingress)
    assert group.labels == {f"{M}namespace": "shop", f"{M}ingress_name": "in", f"{M}ingress_class_name": "nginx"}
    assert [tuple(target.values()) for target in group.targets] == [
        ("a.test", "https", "a.test", "/x"),
        ("a.test", "https", "a.test", "/"),
        ("b.wild.test", "https", "b.wild.test", "/"),
        ("c.b.wild.test", "http", "c.b.wild.test", "/"),
    ]


def test_objects_with_the_least_that_the_api_demands() -> None:
    """Nothing but a name."""
    bare = {"metadata": {"name": "x", "namespace": "shop"}}
    for role in ("service", "pod", "endpoints", "endpointslice", "ingress"):
        assert only(role, bare).targets == ()
