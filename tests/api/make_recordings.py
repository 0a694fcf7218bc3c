"""Make ``recordings.jsonl.gz``: what tests of this room need of the recorded exchanges with a v1.36 apiserver.

A line is one create, update or patch of one object: the object before (as the server last showed it), the body, and the answer.
Usage: make_recordings.py CONFORMANCE_FOLDER
"""

import gzip
import json
import re
import sys
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

FAMILIES = ("crud", "validation", "patch", "subresources")
TARGET = Path(__file__).with_name("recordings.jsonl.gz")
PATCH_TYPES = {"json-patch+json": "json", "merge-patch+json": "merge", "strategic-merge-patch+json": "strategic"}


def resource_of(path: str) -> tuple[str, str, str] | None:
    """(resource, name, subresource) of a request path; None for what is not an object or a collection."""
    parts = path.strip("/").split("/")
    group, parts = ("", parts[2:]) if parts[0] == "api" else (parts[1], parts[3:]) if parts[0] == "apis" and len(parts) > 3 else ("", [])
    if len(parts) > 2 and parts[0] == "namespaces" and parts[2] not in ("status", "finalize"):
        parts = parts[2:]
    if not parts or (parts[0] == "events" and group):
        return None
    name, subresource = (parts[1] if len(parts) > 1 else ""), (parts[2] if len(parts) > 2 else "")
    return (f"{parts[0]}.{group}" if group else parts[0]), name, subresource


def is_of_this_room(status: int, message: str) -> bool:
    """Whether the answer is decided by decoding, patching, defaults and validation; conflicts and admission are the apiserver's."""
    if status < 300 or status == 422:
        return True
    return status in (400, 500) and ("cannot be handled" in message or status == 500 or "decoding patch" in message)


def exchange(record: dict[str, Any], state: dict[str, Any]) -> dict[str, Any] | None:
    """One line for the file, and the state after it; None for what is no write of an object."""
    request, answer = record["req"], record["resp"]
    url = urlsplit(request["path"])
    query = parse_qs(url.query)
    where = resource_of(url.path)
    body = request.get("body")
    reply = answer.get("body")
    if where is None or not isinstance(reply, dict):
        return None
    resource, name, subresource = where
    key = url.path if name else f"{url.path}/{(reply.get('metadata') or {}).get('name')}"
    key = key.removesuffix(f"/{subresource}") if subresource else key
    old = state.get(key)
    if answer["status"] < 300 and request["method"] != "DELETE" and subresource in ("", "status") and not reply["kind"].endswith("List"):
        if "dryRun" not in query:
            state[key] = reply
    elif request["method"] == "DELETE":
        state.pop(key, None)
    content = request.get("headers", {}).get("Content-Type", "").partition(";")[0].removeprefix("application/")
    verb = {"POST": "create", "PUT": "update", "PATCH": "patch"}.get(request["method"])
    if (
        verb is None
        or body is None
        or request["user"] != "admin"
        or (verb != "create" and old is None)
        or subresource not in ("", "status")
    ):
        return None
    if (verb == "patch" and content not in PATCH_TYPES) or not is_of_this_room(answer["status"], reply.get("message", "")):
        return None
    line = {"verb": verb, "resource": resource, "subresource": subresource, "body": body, "status": answer["status"], "answer": reply}
    if verb != "create":
        line["old"] = old
    if verb == "patch":
        line["patch"] = PATCH_TYPES[content]
    if "fieldValidation" in query:
        line["fieldValidation"] = query["fieldValidation"][0]
    return line


def with_values(text: str) -> str:
    """Put a value in place of each symbol that stands for a time, an address or a port; the others are strings anyway."""
    text = text.replace("<time>", "2026-01-01T00:00:00Z")
    text = re.sub(r"<ip:(\d+)>", lambda match: f"10.96.0.{100 + int(match[1])}", text)
    return re.sub(r'"<nodeport:(\d+)>"', lambda match: str(30000 + int(match[1])), text)


def main(folder: Path) -> None:
    """Read the families of the folder and write the file; equal lines are kept once."""
    lines: dict[str, None] = {}
    for family in FAMILIES:
        state: dict[str, Any] = {}
        case = ""
        with gzip.open(folder / "api" / f"public-{family}.jsonl.gz", "rt", encoding="utf-8") as records:
            for record in map(json.loads, records):
                if record["t"] == "case":
                    case, state = record["case"], {}
                elif record["t"] == "http" and (line := exchange(record, state)) and len(json.dumps(line)) < 40_000:
                    lines[with_values(json.dumps({"case": case, **line}, separators=(",", ":")))] = None
    TARGET.write_bytes(gzip.compress("\n".join(lines).encode(), 9, mtime=0))
    print(f"{len(lines)} exchanges, {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
