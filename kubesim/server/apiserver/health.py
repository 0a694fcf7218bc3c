"""Health: /healthz, /livez and /readyz with upstream's checks by name, each of them also at a path of its own.

The checks are upstream's list (pkg/controlplane, apiserver/pkg/server/healthz). What they stand for is done before this server listens,
or is not a thing here; the ones with a meaning of their own are ``etcd``, ``shutdown`` and ``ping``.
"""

from collections.abc import Callable

from kubesim.server.apiserver.answers import Answer, text

_BEGIN = (
    "start-apiserver-admission-initializer", "generic-apiserver-start-informers", "priority-and-fairness-config-consumer",
    "priority-and-fairness-filter", "storage-object-count-tracker-hook", "start-apiextensions-informers",
    "start-apiextensions-controllers", "crd-informer-synced", "start-system-namespaces-controller",
    "peer-endpoint-reconciler-controller", "start-cluster-authentication-info-controller",
    "start-kube-apiserver-identity-lease-controller", "start-kube-apiserver-identity-lease-garbage-collector", "storage-readiness",
    "start-legacy-token-tracking-controller", "start-service-ip-repair-controllers", "rbac/bootstrap-roles",
    "scheduling/bootstrap-system-priority-classes", "priority-and-fairness-config-producer", "bootstrap-controller",
    "start-kubernetes-service-cidr-controller", "aggregator-reload-proxy-client-cert", "start-kube-aggregator-informers",
    "apiservice-status-local-available-controller", "apiservice-status-remote-available-controller",
    "apiservice-registration-controller", "apiservice-wait-for-first-sync", "apiservice-discovery-controller",
    "kube-apiserver-autoregistration",
)  # fmt: skip
_HOOKS = tuple(f"poststarthook/{name}" for name in _BEGIN)
_END = ("autoregister-completion", "poststarthook/apiservice-openapi-controller", "poststarthook/apiservice-openapiv3-controller")
CHECKS = {
    "healthz": ("ping", "log", "etcd", *_HOOKS, *_END),
    "livez": ("ping", "log", "etcd", *_HOOKS, *_END),
    "readyz": ("ping", "log", "informer-sync", *_HOOKS, *_END, "shutdown"),
}
LISTED = {  # what / names beside the three
    "healthz": (*CHECKS["healthz"], "loopback-serving-certificate"),
    "livez": (*CHECKS["livez"], "loopback-serving-certificate"),
    "readyz": CHECKS["readyz"],
}


def answer(path: str, query: dict[str, str], is_stopping: Callable[[], bool]) -> Answer | None:
    """The answer at a health path, or None when it is none."""
    prefix, _, check = path.strip("/").partition("/")
    checks = CHECKS.get(prefix)
    if checks is None:
        return None
    if check:
        if check not in LISTED[prefix]:
            return None
        return text("ok") if not (check == "shutdown" and is_stopping()) else text("internal server error: process is shutting down\n", 500)
    excluded = query.get("exclude", "").split(",")
    failed = [name for name in checks if name == "shutdown" and is_stopping() and name not in excluded]
    if not failed and "verbose" not in query:
        return text("ok")
    lines = []
    for name in checks:
        if name in excluded:
            lines.append(f"[+]{name} excluded: ok")
        elif name in failed:
            lines.append(f"[-]{name} failed: reason withheld")
        else:
            lines.append(f"[+]{name} ok")
    if failed:
        return text("\n".join([*lines, f"{prefix} check failed", ""]), 500)
    return text("\n".join([*lines, f"{prefix} check passed", ""]))
