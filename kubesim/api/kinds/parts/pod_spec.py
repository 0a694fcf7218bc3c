"""Defaults of a Pod spec, in a Pod and in a Pod template.

Upstream: SetDefaults_PodSpec and SetDefaults_Pod in pkg/apis/core/v1/defaults.go. Thousands of Pods share the spec of their
template, and a bound Pod still shares its containers and volumes with them; both the whole spec and those lists are remembered
by identity, so that a default of something known is a few dictionary look-ups.
"""

from collections.abc import Callable
from typing import Any

from kubesim.api.kinds.parts.containers import (
    canonical_amounts,
    canonical_resources,
    default_pod_container,
    default_template_container,
    requests_from_limits,
)
from kubesim.api.kinds.parts.shape import change, each, fill, put
from kubesim.api.kinds.parts.volumes import default_volume
from kubesim.api.memo import IdentityMemo

Object = dict[str, Any]
_TEMPLATE = {
    "restartPolicy": "Always",
    "terminationGracePeriodSeconds": 30,
    "dnsPolicy": "ClusterFirst",
    "securityContext": {},
    "schedulerName": "default-scheduler",
}
_POD = {**_TEMPLATE, "enableServiceLinks": True}
_LISTS = ("containers", "initContainers", "ephemeralContainers")

_template_containers: IdentityMemo[list[Object]] = IdentityMemo(lambda items: each(items, default_template_container))
_pod_containers: IdentityMemo[list[Object]] = IdentityMemo(lambda items: each(items, default_pod_container))
_volumes: IdentityMemo[list[Object]] = IdentityMemo(lambda items: each(items, default_volume))


def _known(memo: IdentityMemo[list[Object]], items: list[Object]) -> list[Object]:
    """The default of a list; the result is its own default."""
    result = memo(items)
    if result is not items:
        memo.remember(result, result)
    return result


def _default(spec: Object, defaults: Object, containers: IdentityMemo[list[Object]]) -> Object:
    filled = fill(spec, defaults)
    for name in _LISTS:
        if items := filled.get(name):
            filled = put(filled, name, _known(containers, items))
    if volumes := filled.get("volumes"):
        filled = put(filled, "volumes", _known(_volumes, volumes))
    if account := filled.get("serviceAccountName") or filled.get("serviceAccount"):
        filled = fill(filled, {"serviceAccountName": account})
        filled = put(filled, "serviceAccount", filled["serviceAccountName"])
    if "overhead" in filled:
        filled = change(filled, "overhead", canonical_amounts)
    return change(filled, "resources", canonical_resources) if "resources" in filled else filled


def _default_template(spec: Object) -> Object:
    return _default(spec, _TEMPLATE, _template_containers)


def _default_pod(spec: Object) -> Object:
    filled = _default(spec, _POD, _pod_containers)
    if filled["terminationGracePeriodSeconds"] < 0:
        filled = {**filled, "terminationGracePeriodSeconds": 1}
    if filled.get("hostNetwork"):
        for name in _LISTS:
            filled = change(filled, name, lambda items: each(items, _with_host_ports))
    return change(filled, "resources", requests_from_limits) if "resources" in filled else filled


def _with_host_ports(container: Object) -> Object:
    return change(container, "ports", lambda ports: each(ports, _with_host_port))


def _with_host_port(port: Object) -> Object:
    return port if port.get("hostPort") else {**port, "hostPort": port["containerPort"]}


class _Defaults:
    """A default remembered by identity; its results are their own defaults. A hit is one look-up."""

    __slots__ = ("_function", "_memo")

    def __init__(self, function: Callable[[Object], Object]) -> None:
        self._function = function
        self._memo: IdentityMemo[Object] = IdentityMemo(self._computed)

    def _computed(self, spec: Object) -> Object:
        result = self._function(spec)
        if result is not spec:
            self._memo.remember(result, result)
        return result

    @property
    def call(self) -> Callable[[Object], Object]:
        return self._memo


default_template_spec = _Defaults(_default_template).call  # the spec of a Pod template with its defaults
default_pod_spec = _Defaults(_default_pod).call  # the spec of a Pod with its defaults


def default_template(template: Object) -> Object:
    """A Pod template (metadata and spec) with its defaults."""
    spec = template.get("spec")
    return template if spec is None else put(template, "spec", default_template_spec(spec))
