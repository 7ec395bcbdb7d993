"""What Kubernetes objects come to as target groups, with Prometheus's ``__meta_kubernetes_*`` labels.

Objects are the JSON that the API gives, read into dictionaries. Source: prometheus.io, "Configuration", section
``kubernetes_sd_config``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mirante.server.scrape.model import KubernetesRole, TargetGroup

Object = Mapping[str, Any]
Key = tuple[str, str]
"""Namespace and name of an object; the namespace of a node is the empty string."""

_META = "__meta_kubernetes_"
_OTHER = re.compile(r"[^a-zA-Z0-9_]")
_NODE_ADDRESSES = ("InternalIP", "ExternalIP", "LegacyHostIP", "Hostname")
_SERVICE_OF_SLICE = "kubernetes.io/service-name"


@dataclass(frozen=True, slots=True)
class Objects:
    """Everything that was read, by namespace and name.

    Attributes:
        main: the objects of the role.
        services: for endpoints and their slices.
        pods: for endpoints and their slices.
        nodes: with ``attach_metadata``.
    """

    main: Mapping[Key, Object]
    services: Mapping[Key, Object] = field(default_factory=dict)
    pods: Mapping[Key, Object] = field(default_factory=dict)
    nodes: Mapping[Key, Object] = field(default_factory=dict)


def groups_of(role: KubernetesRole, objects: Objects) -> list[TargetGroup]:
    """One group for each object of the role, in order of their names."""
    return [_BUILD[role](objects.main[key], objects) for key in sorted(objects.main)]


def key_of(found: Object) -> Key:
    """Where the object belongs."""
    return found["metadata"].get("namespace", ""), found["metadata"]["name"]


def _node(node: Object, _: Objects) -> TargetGroup:
    status, name = node.get("status", {}), node["metadata"]["name"]
    addresses: dict[str, str] = {}
    for address in status.get("addresses") or ():
        addresses.setdefault(address["type"], address["address"])
    host = next((addresses[kind] for kind in _NODE_ADDRESSES if kind in addresses), None)
    labels = _described("node", node) | _present({"node_provider_id": node.get("spec", {}).get("providerID", "")})
    if host is None:
        return TargetGroup(f"node/{name}", (), labels)
    port = status.get("daemonEndpoints", {}).get("kubeletEndpoint", {}).get("Port", 0)
    by_type = {f"{_META}node_address_{_safe(kind)}": address for kind, address in addresses.items()}
    target = {"__address__": _join(host, port), "instance": name, **by_type}
    return TargetGroup(f"node/{name}", (target,), labels)


def _service(service: Object, _: Objects) -> TargetGroup:
    namespace, name = key_of(service)
    spec = service.get("spec", {})
    kind = spec.get("type", "")
    about = {"service_type": kind}
    if kind == "ExternalName":
        about["service_external_name"] = spec.get("externalName", "")
    else:
        about["service_cluster_ip"] = spec.get("clusterIP", "")
    if kind == "LoadBalancer":
        about["service_loadbalancer_ip"] = spec.get("loadBalancerIP", "")
    targets = tuple(
        {
            "__address__": _join(f"{name}.{namespace}.svc", port["port"]),
            **_present(
                {
                    "service_port_name": port.get("name", ""),
                    "service_port_number": str(port["port"]),
                    "service_port_protocol": port.get("protocol", ""),
                    **about,
                }
            ),
        }
        for port in spec.get("ports") or ()
    )
    return TargetGroup(f"svc/{namespace}/{name}", targets, _service_labels(service))


def _service_labels(service: Object) -> dict[str, str]:
    return {f"{_META}namespace": key_of(service)[0], **_described("service", service)}


def _pod(pod: Object, objects: Objects) -> TargetGroup:
    namespace, name = key_of(pod)
    source, ip = f"pod/{namespace}/{name}", pod.get("status", {}).get("podIP", "")
    if not ip:
        return TargetGroup(source, ())
    labels = {f"{_META}namespace": namespace, **_pod_labels(pod)}
    labels |= _node_of(pod.get("spec", {}).get("nodeName", ""), objects)
    targets = []
    for container in _containers(pod):
        if not container.ports:
            # Without a port the user adds one by relabeling.
            targets.append({"__address__": ip, **container.labels()})
        targets += [
            {"__address__": _join(ip, port["containerPort"]), **container.labels(port)} for port in container.ports
        ]
    return TargetGroup(source, tuple(targets), labels)


def _pod_labels(pod: Object) -> dict[str, str]:
    spec, status = pod.get("spec", {}), pod.get("status", {})
    ready = next((c["status"] for c in status.get("conditions") or () if c["type"] == "Ready"), "unknown")
    owner: Object = next((o for o in pod["metadata"].get("ownerReferences") or () if o.get("controller")), {})
    found = {
        "pod_ip": status.get("podIP", ""),
        "pod_ready": ready.lower(),
        "pod_phase": status.get("phase", ""),
        "pod_node_name": spec.get("nodeName", ""),
        "pod_host_ip": status.get("hostIP", ""),
        "pod_uid": pod["metadata"].get("uid", ""),
        "pod_controller_kind": owner.get("kind", ""),
        "pod_controller_name": owner.get("name", ""),
    }
    return {**_present(found), **_described("pod", pod)}


@dataclass(frozen=True, slots=True)
class _Container:
    """A container of a pod; ``identity`` is the running one's, once there is one."""

    spec: Object
    identity: str
    init: bool

    @property
    def ports(self) -> list[Object]:
        return list(self.spec.get("ports") or ())

    def labels(self, port: Object | None = None) -> dict[str, str]:
        found = {
            "pod_container_name": self.spec["name"],
            "pod_container_id": self.identity,
            "pod_container_image": self.spec.get("image", ""),
            "pod_container_init": str(self.init).lower(),
        }
        if port is not None:
            found["pod_container_port_name"] = port.get("name", "")
            found["pod_container_port_number"] = str(port["containerPort"])
            found["pod_container_port_protocol"] = port.get("protocol", "")
        return _present(found)


def _containers(pod: Object) -> Iterator[_Container]:
    for kind, init in (("containers", False), ("initContainers", True)):
        statuses = pod.get("status", {}).get("initContainerStatuses" if init else "containerStatuses") or ()
        running = {status["name"]: status.get("containerID", "") for status in statuses}
        for spec in pod.get("spec", {}).get(kind) or ():
            yield _Container(spec, running.get(spec["name"], ""), init)


def _endpoints(endpoints: Object, objects: Objects) -> TargetGroup:
    namespace, name = key_of(endpoints)
    built = _Endpoints(objects)
    for subset in endpoints.get("subsets") or ():
        for port in subset.get("ports") or ():
            for field_name, ready in (("addresses", "true"), ("notReadyAddresses", "false")):
                for address in subset.get(field_name) or ():
                    built.add(address["ip"], port.get("port"), address, {
                        "endpoint_port_name": port.get("name", ""),
                        "endpoint_port_protocol": port.get("protocol", ""),
                        "endpoint_ready": ready,
                        "endpoint_node_name": address.get("nodeName", ""),
                        "endpoint_hostname": address.get("hostname", ""),
                        **_reference("endpoint", address),
                    })  # fmt: skip
    labels = {f"{_META}namespace": namespace, **_described("endpoints", endpoints)}
    service = objects.services.get((namespace, name))
    labels |= _service_labels(service) if service else {}
    return TargetGroup(f"endpoints/{namespace}/{name}", built.targets(), labels)


def _endpoint_slice(part: Object, objects: Objects) -> TargetGroup:
    namespace, name = key_of(part)
    built = _Endpoints(objects)
    for endpoint in part.get("endpoints") or ():
        about = _slice_endpoint(endpoint)
        for port in part.get("ports") or ():
            of_port = {
                "endpointslice_port_name": port.get("name", ""),
                "endpointslice_port_protocol": port.get("protocol", ""),
                "endpointslice_port": str(port["port"]) if port.get("port") is not None else "",
                "endpointslice_port_app_protocol": port.get("appProtocol") or "",
            }
            for address in endpoint.get("addresses") or ():
                built.add(address, port.get("port"), endpoint, {**of_port, **about})
    labels = {f"{_META}namespace": namespace, **_described("endpointslice", part)}
    labels |= _present({"endpointslice_address_type": part.get("addressType", "")})
    service = objects.services.get((namespace, part["metadata"].get("labels", {}).get(_SERVICE_OF_SLICE, "")))
    labels |= _service_labels(service) if service else {}
    return TargetGroup(f"endpointslice/{namespace}/{name}", built.targets(), labels)


def _slice_endpoint(endpoint: Object) -> dict[str, str]:
    about = {
        f"endpointslice_endpoint_conditions_{name}": str(value).lower()
        for name, value in (endpoint.get("conditions") or {}).items()
        if value is not None
    }
    about["endpointslice_endpoint_hostname"] = endpoint.get("hostname") or ""
    about["endpointslice_endpoint_node_name"] = endpoint.get("nodeName") or ""
    about["endpointslice_endpoint_zone"] = endpoint.get("zone") or ""
    for key, value in (endpoint.get("deprecatedTopology") or {}).items():
        about[f"endpointslice_endpoint_topology_{_safe(key)}"] = value
        about[f"endpointslice_endpoint_topology_present_{_safe(key)}"] = "true"
    return {**about, **_reference("endpointslice", endpoint)}


def _reference(kind: str, endpoint: Object) -> dict[str, str]:
    to = endpoint.get("targetRef") or {}
    return {f"{kind}_address_target_kind": to.get("kind", ""), f"{kind}_address_target_name": to.get("name", "")}


class _Endpoints:
    """Collects the targets of a service; its pods' other ports become targets too, as in Prometheus."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._targets: list[dict[str, str]] = []
        self._pods: dict[Key, set[int]] = {}

    def add(self, host: str, port: int | None, endpoint: Object, about: Mapping[str, str]) -> None:
        """Add one address of an endpoint at one port of the service."""
        target = {"__address__": host if port is None else _join(host, port), **_present(about)}
        to = endpoint.get("targetRef") or {}
        node = to.get("name", "") if to.get("kind") == "Node" else endpoint.get("nodeName") or ""
        target |= _node_of(node, self._objects)
        key = (to.get("namespace", ""), to.get("name", ""))
        pod = self._objects.pods.get(key) if to.get("kind") == "Pod" else None
        if pod is not None:
            target |= _pod_labels(pod)
            for container in _containers(pod):
                for own in container.ports:
                    if own["containerPort"] == port:
                        target |= container.labels(own)
            self._pods.setdefault(key, set()).add(port or 0)
        self._targets.append(target)

    def targets(self) -> tuple[Mapping[str, str], ...]:
        """Every target."""
        for key, seen in self._pods.items():
            pod = self._objects.pods[key]
            ip = pod.get("status", {}).get("podIP", "")
            for container in _containers(pod) if ip else ():
                for port in container.ports:
                    if port["containerPort"] not in seen:
                        address = _join(ip, port["containerPort"])
                        self._targets.append({"__address__": address, **_pod_labels(pod), **container.labels(port)})
        return tuple(self._targets)


def _ingress(ingress: Object, _: Objects) -> TargetGroup:
    namespace, name = key_of(ingress)
    spec = ingress.get("spec", {})
    secure = [host for tls in spec.get("tls") or () for host in tls.get("hosts") or ()]
    targets = []
    for rule in spec.get("rules") or ():
        host = rule.get("host", "")
        scheme = "https" if any(_matches(pattern, host) for pattern in secure) else "http"
        given: Sequence[Object] = (rule.get("http") or {}).get("paths") or ({},)
        paths = [path.get("path") or "/" for path in given]
        about = [{"ingress_scheme": scheme, "ingress_host": host, "ingress_path": path} for path in paths]
        targets += [{"__address__": host, **_present(labels)} for labels in about]
    labels = {f"{_META}namespace": namespace, **_described("ingress", ingress)}
    labels |= _present({"ingress_class_name": spec.get("ingressClassName") or ""})
    return TargetGroup(f"ingress/{namespace}/{name}", tuple(targets), labels)


def _matches(pattern: str, host: str) -> bool:
    """Whether a host is the pattern, or stands one name below ``*.``."""
    return pattern == host or (pattern.startswith("*.") and host.partition(".")[2] == pattern[2:])


def _node_of(name: str, objects: Objects) -> dict[str, str]:
    node = objects.nodes.get(("", name))
    return _described("node", node) if node else {}


def _described(role: str, found: Object) -> dict[str, str]:
    """Name, labels and annotations of an object."""
    metadata = found["metadata"]
    described = {f"{_META}{role}_name": metadata["name"]}
    for kind, key in (("label", "labels"), ("annotation", "annotations")):
        for name, value in (metadata.get(key) or {}).items():
            described[f"{_META}{role}_{kind}_{_safe(name)}"] = value
            described[f"{_META}{role}_{kind}present_{_safe(name)}"] = "true"
    return described


def _present(labels: Mapping[str, str]) -> dict[str, str]:
    """The labels that have a value, with the common prefix."""
    return {_META + name: value for name, value in labels.items() if value}


def _safe(name: str) -> str:
    return _OTHER.sub("_", name)


def _join(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


_BUILD = {
    "node": _node,
    "service": _service,
    "pod": _pod,
    "endpoints": _endpoints,
    "endpointslice": _endpoint_slice,
    "ingress": _ingress,
}
