"""Make ``kubesim/api/data/protobuf-v1.36.json.gz``: the wire numbers of the messages that the server speaks.

The input is a table of every message of the API (message -> fields as [number, name, type, label]), named on the command line. Only
messages that are reachable from served kinds are kept. Output is deterministic.

Usage: make_protobuf.py FIELDS.json.gz
"""

import gzip
import json
import sys
from pathlib import Path
from typing import Any

DATA = Path(__file__).resolve().parents[1] / "kubesim" / "api" / "data"
VERSIONS = ("v1alpha", "v1beta", "v2beta", "v2alpha")
ROOTS = ("k8s.io.api.", "k8s.io.apimachinery.", "k8s.io.apiextensions_apiserver.", "k8s.io.kube_aggregator.")
LEFT_OUT = ("k8s.io.api.imagepolicy", "k8s.io.api.admission.", "k8s.io.api.extensions", "k8s.io.api.apiserverinternal")


def main(source: str) -> None:
    """Write the table."""
    with gzip.open(source, "rt", encoding="utf-8") as file:
        messages: dict[str, list[list[Any]]] = json.load(file)
    kept = {
        name: fields  # in the order of their declaration, which is that of Go's structs
        for name, fields in sorted(messages.items())
        if name.startswith(ROOTS) and not name.startswith(LEFT_OUT) and not any(word in name for word in VERSIONS)
    }
    text = json.dumps(kept, separators=(",", ":")).encode()
    path = DATA / "protobuf-v1.36.json.gz"
    path.write_bytes(gzip.compress(text, 9, mtime=0))
    print(f"{path.name}: {len(kept)} messages, {len(text)} bytes, {path.stat().st_size} packed")


if __name__ == "__main__":
    main(sys.argv[1])
