"""Recordings of a real etcd, replayed against the state in process: JSON gateway requests in, JSON answers out.

Calls of what is not built yet (auth, members, hashes, streams) are left out; they change nothing that the others read.
"""

import gzip
from base64 import b64decode, b64encode
from collections.abc import Iterator
from itertools import chain, groupby
from pathlib import Path
from typing import Any

import orjson

from kubesim._core.revision_store import Compacted, FutureRevision, KeyValue
from kubesim.etcd import kv, txn
from kubesim.etcd.errors import EtcdError, status_of
from kubesim.etcd.local import LocalEtcd
from kubesim.kernel.loop import Kernel
from kubesim.kernel.time import MILLISECOND

RECORDINGS = Path(__file__).resolve().parents[2].parent / "shared" / "conformance" / "etcd"
SORT_FIELDS = {"VERSION": "version", "CREATE": "create_revision", "MOD": "mod_revision", "VALUE": "value"}
OPERANDS = {"VERSION": "version", "CREATE": "create_revision", "MOD": "mod_revision", "LEASE": "lease"}
Line = dict[str, Any]


def sequences(family: str) -> Iterator[tuple[str, Line, list[Line]]]:
    """(name, header, operations) of each sequence of a family."""
    with gzip.open(RECORDINGS / f"public-{family}.jsonl.gz", "rb") as file:
        for text in file:
            line = orjson.loads(text)
            if "seq" in line:
                header, lines = line, []
            elif "end" in line:
                yield line["end"], header, lines
            else:
                lines.append(line)


class Gateway:
    """One sequence's server: a local etcd behind the paths of the JSON gateway."""

    def __init__(self, flags: dict[str, str]) -> None:
        self.kernel = Kernel()
        self.etcd = LocalEtcd(self.kernel)
        self.operations_max = int(flags.get("max-txn-ops", txn.OPERATIONS_MAX))
        self.symbols: dict[str, str] = {}
        self.paths = {
            "/v3/kv/range": self.range,
            "/v3/kv/put": self.put,
            "/v3/kv/deleterange": self.delete_range,
            "/v3/kv/txn": self.txn,
            "/v3/kv/compaction": self.compact,
            "/v3/lease/grant": self.grant,
            "/v3/lease/revoke": self.revoke,
            "/v3/kv/lease/revoke": self.revoke,
            "/v3/lease/keepalive": self.keep_alive,
            "/v3/lease/timetolive": self.time_to_live,
            "/v3/kv/lease/timetolive": self.time_to_live,
            "/v3/lease/leases": self.leases,
            "/v3/kv/lease/leases": self.leases,
        }

    def sleep(self, milliseconds: int) -> None:
        stop_ns = self.kernel.now_ns + milliseconds * MILLISECOND
        self.kernel.run_due(stop_ns)

    def call(self, line: Line) -> Any:
        """The answer to a recorded call."""
        try:
            return self.named(self.paths[line["path"]](self.resolved(line["req"]), line["resp"]))
        except (EtcdError, Compacted, FutureRevision) as error:
            code, message = status_of(error)
            return {"code": code, "message": message}

    # -- requests -----------------------------------------------------------------------------------------------------------

    def range(self, body: Line, expected: Line) -> Line:
        request = range_request(body)
        kv.check_range(request)
        return range_answer(kv.execute_range(self.etcd.state, request), body)

    def put(self, body: Line, expected: Line) -> Line:
        request = put_request(body)
        kv.check_put(request)
        return put_answer(kv.execute_put(self.etcd.state, request), body)

    def delete_range(self, body: Line, expected: Line) -> Line:
        request = delete_request(body)
        kv.check_delete(request)
        return delete_answer(kv.execute_delete(self.etcd.state, request), body)

    def txn(self, body: Line, expected: Line) -> Line:
        request = txn_request(body)
        txn.check_txn(request, self.operations_max)
        return txn_answer(txn.execute_txn(self.etcd.state, request), body)

    def compact(self, body: Line, expected: Line) -> Line:
        self.etcd.execute(("compact", int(body.get("revision", 0))))
        return self.headed({})

    def grant(self, body: Line, expected: Line) -> Line:
        lease = self.etcd.execute(("grant", int(body.get("TTL", 0)), int(body.get("ID", 0))))
        if str(expected.get("ID", "")).startswith("$"):
            self.symbols[expected["ID"]] = str(lease)
        return self.headed({"ID": str(lease), "TTL": str(self.etcd.execute(("time_to_live", lease))[1])})

    def revoke(self, body: Line, expected: Line) -> Line:
        self.etcd.execute(("revoke", self.lease(body)))
        return self.headed({})

    def keep_alive(self, body: Line, expected: Line) -> Line:
        lease = self.lease(body)
        ttl = self.etcd.execute(("keep_alive", lease))
        return {"result": self.headed(without_defaults({"ID": str(lease), "TTL": str(ttl)}))}

    def time_to_live(self, body: Line, expected: Line) -> Line:
        lease = self.lease(body)
        left, granted, keys = self.etcd.execute(("time_to_live", lease))
        answer = {"ID": str(lease), "TTL": str(left), "grantedTTL": str(granted)}
        if expected.get("TTL") == "*":
            assert 0 <= left <= granted
            answer["TTL"] = "*"
        if body.get("keys"):
            answer["keys"] = sorted(encoded(key) for key in keys)
        return self.headed(without_defaults(answer))

    def leases(self, body: Line, expected: Line) -> Line:
        leases = self.named([{"ID": str(lease)} for lease in self.etcd.leases.listed()])
        return self.headed({"leases": sorted(leases, key=lambda lease: lease["ID"])} if leases else {})

    def resolved(self, body: Any) -> Any:
        """The request with the lease numbers that its symbols stand for."""
        if isinstance(body, dict):
            return {name: self.resolved(value) for name, value in body.items()}
        if isinstance(body, list):
            return [self.resolved(value) for value in body]
        return self.symbols.get(body, body) if isinstance(body, str) else body

    def lease(self, body: Line) -> int:
        return int(body.get("ID", 0))

    def named(self, answer: Any) -> Any:
        """The answer with symbols for the lease numbers that the server chose."""
        if isinstance(answer, list):
            return [self.named(item) for item in answer]
        if not isinstance(answer, dict):
            return answer
        symbols = {number: symbol for symbol, number in self.symbols.items()}
        return {
            name: symbols.get(value, value) if name in ("ID", "lease") else self.named(value) for name, value in answer.items()
        }

    def headed(self, answer: Line) -> Line:
        return {"header": {"revision": str(self.etcd.store.revision)}, **answer}


# -- JSON to requests ------------------------------------------------------------------------------------------------------------


def decoded(body: Line, name: str) -> bytes:
    text = body.get(name, "")
    if text.startswith("$rep:"):
        _, unit, count, tail = text.split(":")
        text = unit * int(count) + tail
    return b64decode(text)


def end_of(body: Line) -> bytes | None:
    return decoded(body, "range_end") or None


def range_request(body: Line) -> kv.RangeRequest:
    numbers = ("revision", "limit", "min_mod_revision", "max_mod_revision", "min_create_revision", "max_create_revision")
    return kv.RangeRequest(
        decoded(body, "key"),
        end_of(body),
        sort_order=body.get("sort_order", "NONE"),
        sort_target=body.get("sort_target", "KEY"),
        count_only=body.get("count_only", False),
        keys_only=body.get("keys_only", False),
        **{name: int(body.get(name, 0)) for name in numbers},
    )


def put_request(body: Line) -> kv.PutRequest:
    flags = {name: body.get(name, False) for name in ("ignore_value", "ignore_lease")}
    return kv.PutRequest(decoded(body, "key"), decoded(body, "value"), int(body.get("lease", 0)), **flags)


def delete_request(body: Line) -> kv.DeleteRequest:
    return kv.DeleteRequest(decoded(body, "key"), end_of(body))


def compare(body: Line) -> txn.Compare:
    target = body.get("target", "VERSION")
    operand = decoded(body, "value") if target == "VALUE" else int(body.get(OPERANDS.get(target, ""), 0))
    return txn.Compare(decoded(body, "key"), target, body.get("result", "EQUAL"), operand, end_of(body))


def operation(body: Line) -> txn.Operation:
    for name, request in (
        ("request_range", range_request),
        ("request_put", put_request),
        ("request_delete_range", delete_request),
        ("request_txn", txn_request),
    ):
        if name in body:
            return request(body[name])
    return None


def txn_request(body: Line) -> txn.TxnRequest:
    branches = (tuple(operation(item) for item in body.get(name, ())) for name in ("success", "failure"))
    return txn.TxnRequest(tuple(compare(item) for item in body.get("compare", ())), *branches)


# -- answers to JSON -------------------------------------------------------------------------------------------------------------


def encoded(value: bytes) -> str:
    text = b64encode(value).decode()
    for unit in {text[:4]}:
        count = 0
        while len(text) > 4096 and text.startswith(unit, 4 * count):
            count += 1
        if count:
            return f"$rep:{unit}:{count}:{text[4 * count :]}"
    return text


def without_defaults(answer: Line) -> Line:
    return {name: value for name, value in answer.items() if value not in ("", "0", False, [])}


def key_value(record: KeyValue, keys_only: bool = False) -> Line:
    return without_defaults(
        {
            "key": encoded(record.key),
            "create_revision": str(record.create_revision),
            "mod_revision": str(record.mod_revision),
            "version": str(record.version),
            "value": "" if keys_only else encoded(record.value),
            "lease": str(record.lease),
        }
    )


def untied(answer: Any, body: Line) -> Any:
    """The answer with keys of equal rank in key order: etcd's sort is unstable above twelve keys."""
    if "responses" in answer:
        branch = body.get("success" if answer.get("succeeded") else "failure", [])
        pairs = zip(answer["responses"], branch, strict=True)
        return {
            **answer,
            "responses": [
                {name: untied(value, next(iter(item.values()))) for name, value in response.items()} for response, item in pairs
            ],
        }
    field = SORT_FIELDS.get(body.get("sort_target", "KEY"))
    if field is None or int(answer.get("count", 0)) <= 12 or "kvs" not in answer:
        return answer
    equals = groupby(answer["kvs"], lambda record: record.get(field))
    groups = [sorted(group, key=lambda record: b64decode(record["key"])) for _, group in equals]
    if answer.get("more"):  # which of the equal ones came below the limit is open
        groups[-1] = [{field: record.get(field)} for record in groups[-1]]
    return {**answer, "kvs": list(chain.from_iterable(groups))}


def with_header(revision: int, answer: Line) -> Line:
    return {"header": {"revision": str(revision)} if revision else {}, **without_defaults(answer)}


def range_answer(answer: kv.RangeResponse, body: Line) -> Line:
    kvs = [key_value(record, body.get("keys_only", False)) for record in answer.kvs]
    return with_header(answer.revision, {"kvs": kvs, "more": answer.more, "count": str(answer.count)})


def put_answer(answer: kv.PutResponse, body: Line) -> Line:
    previous = {"prev_kv": key_value(answer.previous)} if body.get("prev_kv") and answer.previous else {}
    return with_header(answer.revision, previous)


def delete_answer(answer: kv.DeleteResponse, body: Line) -> Line:
    previous = [key_value(record) for record in answer.previous] if body.get("prev_kv") else []
    return with_header(answer.revision, {"deleted": str(answer.deleted), "prev_kvs": previous})


def txn_answer(answer: txn.TxnResponse, body: Line) -> Line:
    branch = body.get("success" if answer.succeeded else "failure", [])
    responses = [
        {name.replace("request", "response"): ANSWERS[name](response, request)}
        for response, item in zip(answer.responses, branch, strict=True)
        for name, request in item.items()
    ]
    return with_header(answer.revision, {"succeeded": answer.succeeded, "responses": responses})


ANSWERS = {
    "request_range": range_answer,
    "request_put": put_answer,
    "request_delete_range": delete_answer,
    "request_txn": txn_answer,
}
