"""Replay recordings of a real kube-apiserver against the server in process.

A recorded HTTP exchange becomes one ``Request``; the answers are compared after the recordings' own normalisation (uids, versions,
times, generated names become symbols). What needs HTTP (media types, raw bodies, tables), another user than the admin, a controller
or a view in another version than the stored one is left out, and so is the rest of a case once something that others build on was.
"""

import gzip
import importlib.util
import re
import time
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote

import orjson

from kubesim.api.always import complete
from kubesim.api.errors import ApiError
from kubesim.api.field import quote
from kubesim.api.kinds import KINDS
from kubesim.apiserver import options
from kubesim.apiserver.admission import SERVE_PROFILE
from kubesim.apiserver.decoding import decode_delete_options, decode_object, decode_patch
from kubesim.apiserver.requests import Request
from kubesim.apiserver.server import ApiServer
from kubesim.etcd.local import LocalEtcd
from kubesim.kernel.loop import Kernel
from kubesim.kernel.time import SECOND

SHARED = Path(__file__).resolve().parents[2] / ".." / "shared" / "conformance"
PATCH_TYPES = {
    "application/json-patch+json": "json",
    "application/merge-patch+json": "merge",
    "application/strategic-merge-patch+json": "strategic",
    "application/apply-patch+yaml": "apply",
}
WITH_ACCOUNTS = ("admission_sa", "subresources")
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
PLAIN_JSON = ("application/json", "*/*", "application/*")
ADMIN = {"username": "admin", "uid": "uid-admin", "groups": ["system:masters", "system:authenticated"]}
KNOWN_OPTIONS = (
    "labelSelector", "fieldSelector", "limit", "continue", "resourceVersion", "resourceVersionMatch", "gracePeriodSeconds",
    "propagationPolicy", "orphanDependents", "fieldManager", "fieldValidation", "force", "dryRun", "pretty", "timeout", "timeoutSeconds",
    "unknownParam",
)  # fmt: skip
Line = dict[str, Any]


def recordings(family: str) -> Path:
    """The file of a family."""
    return SHARED / "api" / f"public-{family}.jsonl.gz"


def cases(family: str) -> Iterator[tuple[str, list[Line]]]:
    """(name, lines) of each case of a family."""
    name, lines = "", []
    with gzip.open(recordings(family), "rt", encoding="utf-8") as file:
        for text in file:
            record = orjson.loads(text)
            if record["t"] == "case":
                if lines:
                    yield name, lines
                name, lines = record["case"], []
            elif record["t"] != "header":
                lines.append(record)
    yield name, lines


def normaliser(kernel: Kernel, keep_managed: bool = False) -> Any:
    """The recordings' own normalisation, on the kernel's clock."""
    spec = importlib.util.spec_from_file_location("golden_lib", SHARED / "api_replay" / "golden_lib.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    clock = {name: getattr(time, name) for name in ("strftime", "strptime", "gmtime")}
    module.time = types.SimpleNamespace(time=lambda: kernel.now_ns / SECOND, **clock)
    return module.Norm(keep_managed=keep_managed)


def to_request(line: Line, path: str, body: Any, warnings: list[str]) -> Request | None:
    """The request of a line, its body decoded, or None when it is not one for the server in process. Raises ApiError."""
    recorded = line["req"]
    headers = recorded["headers"]
    if recorded["method"] not in METHODS or recorded["user"] != "admin" or headers.get("Accept", "application/json") not in PLAIN_JSON:
        return None
    where, _, query = path.partition("?")
    target = _target(where)
    if target is None:
        return None
    resource, namespace, name, subresource = target
    queried = dict(parse_qsl(query, keep_blank_values=True))
    if any(name not in KNOWN_OPTIONS for name in queried):
        return None
    verb = _verb(recorded["method"], name, subresource)
    raw = recorded["rawBody"].encode("latin1") if "rawBody" in recorded else b"" if body is None else orjson.dumps(body)
    content_type = headers.get("Content-Type", "application/json").partition(";")[0]
    patch_type = PATCH_TYPES.get(content_type, "")
    if (verb == "patch") != bool(patch_type) or (verb != "patch" and content_type not in ("application/json", "application/yaml")):
        return None
    media = content_type.rpartition("/")[2]
    known: dict[str, Any] = {"warnings": warnings, "userInfo": ADMIN}
    if verb == "get":
        return Request(verb, resource, namespace, name, None, subresource, known | queried, "admin")
    if verb == "list":
        return Request(verb, resource, namespace, name, None, subresource, known | options.list_options(queried), "admin")
    if verb in ("delete", "deletecollection"):
        known |= options.delete_options(queried, decode_delete_options(raw, media)) | options.list_options(queried)
        return Request(verb, resource, namespace, name, None, subresource, known, "admin")
    known |= options.write_options(verb, queried, headers.get("User-Agent", ""), patch_type)
    if verb == "patch":
        decoded = decode_patch(raw, patch_type)
        known |= {"patchType": patch_type, "duplicates": decoded.duplicates}
        return Request(verb, resource, namespace, name, decoded.value, subresource, known, "admin")
    obj: Any = None
    if verb in ("create", "update"):
        kind = KINDS.by_resource(resource)
        if subresource in ("", "status", "ephemeralcontainers", "resize", "finalize", "approval"):
            obj = decode_object(kind, raw, media, known.get("fieldValidation", ""), warnings.append)
        else:
            obj = orjson.loads(raw) if raw else None
    return Request(verb, resource, namespace, name, obj, subresource, known, "admin")


def _target(where: str) -> tuple[str, str, str, str] | None:
    parts = where.strip("/").split("/")
    if parts[0] == "api":
        group, version, rest = "", parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) > 3:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return None
    namespace = ""
    if len(rest) > 2 and rest[0] == "namespaces" and rest[2] not in ("status", "finalize"):
        namespace, rest = rest[1], rest[2:]
    if not rest or len(rest) > 3:
        return None
    resource = f"{rest[0]}.{group}" if group else rest[0]
    kind = KINDS.get(resource)
    if kind is None or kind.version != version:
        return None
    return resource, namespace, unquote(rest[1]) if len(rest) > 1 else "", rest[2] if len(rest) > 2 else ""


def _verb(method: str, name: str, subresource: str) -> str:
    if method == "GET":
        return "get" if name else "list"
    if method == "DELETE":
        return "delete" if name else "deletecollection"
    return {"POST": "create", "PUT": "update", "PATCH": "patch"}[method]


SYMBOL = re.compile(r"<(uid|rv|lrv|gen|ip|continue|token|nodeport):(\d+)>")


def _go_on_counting(norm: Any, line: Line, counts: dict[str, int]) -> None:
    """Number the next symbols as the recording does, also after a line that was left out or answered differently."""
    for kind, number in SYMBOL.findall(orjson.dumps(line).decode()):
        counts[kind] = max(counts.get(kind, 0), int(number))
    norm.n.update(counts)


class Replay:
    """A server and the score of the lines that were asked of it; ``differences`` are (case, request, expected, got)."""

    def __init__(self, family: str) -> None:
        self.family = family
        self.kernel = Kernel(seed=3)
        profile = tuple(name for name in SERVE_PROFILE if not name.startswith("ServiceAccount") or family in WITH_ACCOUNTS)
        etcd = LocalEtcd(self.kernel)
        self.server = ApiServer(self.kernel, etcd, profile=profile, service_cidr="10.96.0.0/16", debug=True, track_fields=True)
        self.passed = self.asked = self.left_out = 0
        self.differences: list[tuple[str, str, Any, Any]] = []
        for name, lines in cases(family):
            self._case(name, lines)

    def _case(self, name: str, lines: list[Line]) -> None:
        norm = normaliser(self.kernel, self.family == "ssa")
        counts: dict[str, int] = {}
        for index, line in enumerate(lines):
            if line["t"] == "poll":  # something else has to act first
                self.left_out += len(lines) - index
                return
            if line["t"] == "sleep":
                self.kernel.run_due(self.kernel.now_ns + int(line["seconds"] * SECOND))
                continue
            if line["t"] != "http":
                self.left_out += 1
                continue
            asked = self._line(name, norm, line)
            _go_on_counting(norm, line, counts)
            if not asked:
                self.left_out += 1
                if line["req"]["method"] != "GET" and line["resp"]["status"] < 300:
                    self.left_out += len(lines) - index - 1
                    return

    def _line(self, case: str, norm: Any, line: Line) -> bool:
        recorded = line["req"]
        path = norm.subst(recorded["path"])
        norm.req_path(path)
        body = norm.subst(recorded.get("body"))
        if body is not None:
            norm.req_body(body)
        if SYMBOL.search(path) or (body is not None and SYMBOL.search(orjson.dumps(body).decode())):
            return False
        got = self._ask(norm, line, path, body)
        if got is None:
            return False
        expected = {"status": line["resp"]["status"], "body": line["resp"].get("body")}
        warning = line["resp"]["headers"].get("Warning")
        expected["warnings"] = [warning] if isinstance(warning, str) else warning or []
        self.asked += 1
        if got == expected:
            self.passed += 1
        else:
            self.differences.append((case, f"{recorded['method']} {recorded['path']} {line.get('note', '')}", expected, got))
        return True

    def _ask(self, norm: Any, line: Line, path: str, body: Any) -> dict[str, Any] | None:
        warnings: list[str] = []
        status = 200
        try:
            request = to_request(line, path, body, warnings)
            if request is None:
                return None
            answer, status = self._answer(request)
        except ApiError as error:
            status, answer = error.code, error.status
        answer = orjson.loads(orjson.dumps(answer))
        self.kernel.run_due(self.kernel.now_ns)
        norm.note_gen(body, answer)
        shown = [norm.string(f"299 - {quote(text)}") for text in warnings]
        return {"status": status, "body": norm.resp(answer), "warnings": shown}

    def _answer(self, request: Request) -> tuple[Any, int]:
        """What a client gets, completed as the encoder does it, and the code."""
        status = 201 if request.verb == "create" else 200
        if request.verb in ("update", "patch") and not request.subresource:
            status = 200 if self.server.peek(request.resource, request.namespace, request.name) is not None else 201
        answer = self.server.call(request)
        if not isinstance(answer, dict):
            return answer, status
        if str(answer.get("kind", "")).endswith("List") and "items" in answer:
            kind = KINDS.by_resource(request.resource)
            items = [complete(item, kind.schema) for item in answer["items"]]
            bare = [{key: value for key, value in item.items() if key not in ("kind", "apiVersion")} for item in items]
            answer = {**answer, "items": bare}
        else:
            kind = KINDS.find_gvk(answer.get("apiVersion", ""), answer.get("kind", ""))
            answer = answer if kind is None else complete(answer, kind.schema)
        return answer, status
