"""The whole Kubernetes control plane as a deterministic Python library, in virtual time.

>>> from kubesim import Cluster
>>> with Cluster(nodes=3) as cluster:
...     _ = cluster.apply("apiVersion: v1\\nkind: ConfigMap\\nmetadata: {name: hello}\\ndata: {greeting: world}\\n")
...     cluster.get("ConfigMap", "hello")["data"]["greeting"]
'world'

Importing this package costs next to nothing: a public name is imported when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from kubesim.version import VERSION as __version__

if TYPE_CHECKING:
    from kubesim.api.errors import ApiError as ApiError
    from kubesim.cluster.cluster import Cluster as Cluster
    from kubesim.cluster.cluster import NotConverged as NotConverged
    from kubesim.cluster.config import ClusterConfig as ClusterConfig
    from kubesim.workload.manifests import ManifestError as ManifestError

_HOMES = {
    "ApiError": "kubesim.api.errors",
    "Cluster": "kubesim.cluster.cluster",
    "ClusterConfig": "kubesim.cluster.config",
    "ManifestError": "kubesim.workload.manifests",
    "NotConverged": "kubesim.cluster.cluster",
}
__all__ = ["ApiError", "Cluster", "ClusterConfig", "ManifestError", "NotConverged", "__version__"]


def __getattr__(name: str) -> Any:
    """Import a public name at its first use."""
    if name not in _HOMES:
        raise AttributeError(f"module 'kubesim' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
