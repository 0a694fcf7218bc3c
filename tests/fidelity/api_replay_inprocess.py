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

from kubesim.api import schema
from kubesim.api.errors import ApiError
from kubesim.api.kinds import KINDS
from kubesim.apiserver.admission import DEFAULT_PROFILE
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
}
DROPPED_OPTIONS = ("fieldManager", "pretty", "timeout")
KEPT_OPTIONS = (
    "labelSelector", "fieldSelector", "limit", "continue", "resourceVersion", "resourceVersionMatch", "gracePeriodSeconds",
    "propagationPolicy", "orphanDependents",
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


def normaliser(kernel: Kernel) -> Any:
    """The recordings' own normalisation, on the kernel's clock."""
    spec = importlib.util.spec_from_file_location("golden_lib", SHARED / "api_replay" / "golden_lib.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    clock = {name: getattr(time, name) for name in ("strftime", "strptime", "gmtime")}
    module.time = types.SimpleNamespace(time=lambda: kernel.now_ns / SECOND, **clock)
    return module.Norm()


def to_request(line: Line, path: str, body: Any) -> Request | None:
    """The request of a line, or None when it is not one for the server in process."""
    recorded = line["req"]
    headers = recorded["headers"]
    if recorded["user"] != "admin" or "rawBody" in recorded or headers.get("Accept", "application/json") != "application/json":
        return None
    where, _, query = path.partition("?")
    target = _target(where)
    if target is None:
        return None
    resource, namespace, name, subresource = target
    options: dict[str, Any] = {}
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key == "dryRun":
            options["dryRun"] = True
        elif key in KEPT_OPTIONS:
            options[key] = value
        elif key not in DROPPED_OPTIONS:
            return None
    verb = _verb(recorded["method"], name, subresource)
    if verb in ("delete", "deletecollection"):
        options |= {key: value for key, value in (body or {}).items() if key not in ("kind", "apiVersion", "dryRun")}
        if (body or {}).get("dryRun"):
            options["dryRun"] = True
        body = None
    if verb == "patch":
        patch_type = PATCH_TYPES.get(headers.get("Content-Type", ""))
        if patch_type is None:
            return None
        options["patchType"] = patch_type
    if verb != "patch" and "Content-Type" in headers and headers["Content-Type"] != "application/json":
        return None
    return Request(verb, resource, namespace, name, body, subresource, options, "admin")


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


def decoded(request: Request) -> Request:
    """The request with its body as the HTTP server's decoder passes it on: types checked, nulls and unknown fields gone."""
    kind = KINDS.by_resource(request.resource)
    if request.verb not in ("create", "update") or request.subresource not in ("", "status") or not isinstance(request.obj, dict):
        return request
    if (request.obj.get("kind") or kind.kind) != kind.kind or (request.obj.get("apiVersion") or kind.api_version) != kind.api_version:
        return request
    types = [problem for problem in schema.check(request.obj, kind.schema) if problem.kind == "type"]
    error = schema.decode_error(kind.kind, kind.version, types)
    if error is not None:
        raise error
    request.obj = schema.clean(request.obj, kind.schema)
    return request


class Replay:
    """A server and the score of the lines that were asked of it; ``differences`` are (case, request, expected, got)."""

    def __init__(self, family: str, profile_without: tuple[str, ...] = ("ServiceAccount",)) -> None:
        self.kernel = Kernel(seed=3)
        profile = tuple(name for name in DEFAULT_PROFILE if name not in profile_without)
        self.server = ApiServer(self.kernel, LocalEtcd(self.kernel), profile=profile, service_cidr="10.96.0.0/16", debug=True)
        self.passed = self.asked = self.left_out = 0
        self.differences: list[tuple[str, str, Any, Any]] = []
        for name, lines in cases(family):
            self._case(name, lines)

    def _case(self, name: str, lines: list[Line]) -> None:
        norm = normaliser(self.kernel)
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
        request = to_request(line, path, body)
        if request is None or SYMBOL.search(path) or (body is not None and SYMBOL.search(orjson.dumps(body).decode())):
            return False
        got = self._ask(norm, request, body)
        expected = {"status": line["resp"]["status"], "body": line["resp"].get("body")}
        self.asked += 1
        if got == expected:
            self.passed += 1
        else:
            self.differences.append((case, f"{recorded['method']} {recorded['path']} {line.get('note', '')}", expected, got))
        return True

    def _ask(self, norm: Any, request: Request, body: Any) -> dict[str, Any]:
        created = request.verb == "update" and self.server.peek(request.resource, request.namespace, request.name) is None
        status = 201 if created or request.verb == "create" else 200
        try:
            answer = self.server.call(decoded(request))
        except ApiError as error:
            status, answer = error.code, error.status
        answer = orjson.loads(orjson.dumps(answer))
        self.kernel.run_due(self.kernel.now_ns)
        if isinstance(answer, dict) and str(answer.get("kind", "")).endswith("List") and "items" in answer:
            answer["items"] = [{key: value for key, value in item.items() if key not in ("kind", "apiVersion")} for item in answer["items"]]
        norm.note_gen(body, answer)
        return {"status": status, "body": norm.resp(answer)}
