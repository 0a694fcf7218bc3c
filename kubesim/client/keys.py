"""Keys of objects in caches and work queues: ``namespace/name``, or ``name`` for cluster-scoped kinds.

Upstream: client-go/tools/cache/store.go (MetaNamespaceKeyFunc, SplitMetaNamespaceKey).
"""

from kubesim.apiserver.requests import Object


def key_of(obj: Object) -> str:
    """Return ``namespace/name``, or ``name`` when the object has no namespace."""
    metadata = obj["metadata"]
    namespace = metadata.get("namespace")
    return f"{namespace}/{metadata['name']}" if namespace else metadata["name"]


def join_key(namespace: str, name: str) -> str:
    """Return the key of a namespace (may be empty) and a name."""
    return f"{namespace}/{name}" if namespace else name


def split_key(key: str) -> tuple[str, str]:
    """Return (namespace, name); the namespace is empty for a cluster-scoped key."""
    namespace, slash, name = key.partition("/")
    return (namespace, name) if slash else ("", key)
