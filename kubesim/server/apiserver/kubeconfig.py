"""The kubeconfig that a started server writes: where it is, whom to trust, and the administrator's certificate."""

import base64
from pathlib import Path

import yaml

from kubesim.server.apiserver.certificates import Pair, write_private


def kubeconfig(server: str, authority: bytes, admin: Pair, name: str = "kubesim") -> bytes:
    """A kubeconfig with one cluster, one user and one context."""

    def text(data: bytes) -> str:
        return base64.b64encode(data).decode()

    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": server, "certificate-authority-data": text(authority)}}],
        "users": [
            {"name": f"{name}-admin", "user": {"client-certificate-data": text(admin.certificate), "client-key-data": text(admin.key)}}
        ],
        "contexts": [{"name": name, "context": {"cluster": name, "user": f"{name}-admin"}}],
        "current-context": name,
    }
    return yaml.safe_dump(document, sort_keys=False).encode()


def write(path: Path, content: bytes) -> None:
    """Write a kubeconfig, readable by its owner only. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_private(path, content)
