"""Admission: the plugins of this folder, found in sorted order, switched on by a profile in an explicit order.

Upstream: apiserver/pkg/admission/chain.go and pkg/kubeapiserver/options/plugins.go (the order of the default plugins).
"""

import importlib
import pkgutil
from collections.abc import Sequence

from kubesim.apiserver.admission.contract import Plugin

SUPPORT = frozenset({"chain", "contract"})
DEFAULT_PROFILE = (
    "NamespaceLifecycle",
    "ServiceAccount",
    "TaintNodesByCondition",
    "Priority",
    "DefaultTolerationSeconds",
    "StorageObjectInUseProtection",
    "RuntimeClass",
    "DefaultStorageClass",
    "DefaultIngressClass",
    "CertificateRequester",
)


# What a server for real clients runs: upstream's default plugins, service account tokens included.
SERVE_PROFILE = (
    "NamespaceLifecycle",
    "LimitRanger",
    "ServiceAccountRules",
    "ServiceAccount",
    "ServiceAccountToken",
    "TaintNodesByCondition",
    "PodSecurity",
    "Priority",
    "DefaultTolerationSeconds",
    "StorageObjectInUseProtection",
    "RuntimeClass",
    "DefaultStorageClass",
    "DefaultIngressClass",
    "CertificateRequester",
)


def find_plugins() -> dict[str, Plugin]:
    """The plugins of this folder by name. Raises ValueError when two files export the same name."""
    found: dict[str, Plugin] = {}
    for name in sorted(module.name for module in pkgutil.iter_modules(__path__)):
        if name in SUPPORT:
            continue
        plugin: Plugin = importlib.import_module(f"{__name__}.{name}").PLUGIN
        if plugin.name in found:
            raise ValueError(f"admission: {name}.py: plugin name {plugin.name!r}: expected a name that no other file exports")
        found[plugin.name] = plugin
    return found


def choose_plugins(profile: Sequence[str]) -> tuple[Plugin, ...]:
    """The plugins named by a profile, in its order. Raises ValueError for an unknown name."""
    found = find_plugins()
    unknown = [name for name in profile if name not in found]
    if unknown:
        raise ValueError(f"profile: {unknown[0]!r}: expected one of {', '.join(found)}")
    return tuple(found[name] for name in profile)
