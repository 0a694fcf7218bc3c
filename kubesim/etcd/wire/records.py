"""Messages of the KV service as the records that ``kv.py`` and ``txn.py`` execute, and their answers as messages."""

from typing import Any

from kubesim._core.revision_store import KeyValue
from kubesim.etcd.kv import DeleteRequest, DeleteResponse, PutRequest, PutResponse, RangeRequest, RangeResponse
from kubesim.etcd.txn import Compare, Operation, TxnRequest, TxnResponse
from kubesim.etcd.wire.codec import DEPTH_MAX, DecodeError, Fields

OPERANDS = {"VERSION": "version", "CREATE": "create_revision", "MOD": "mod_revision", "LEASE": "lease"}


# -- requests -------------------------------------------------------------------------------------------------------------------


def range_record(message: Fields) -> RangeRequest:
    """Return a RangeRequest as a record."""
    get = message.get
    return RangeRequest(
        get("key", b""),
        get("range_end") or None,
        get("revision", 0),
        get("limit", 0),
        get("sort_order", "NONE"),
        get("sort_target", "KEY"),
        get("count_only", False),
        get("keys_only", False),
        get("min_mod_revision", 0),
        get("max_mod_revision", 0),
        get("min_create_revision", 0),
        get("max_create_revision", 0),
    )


def put_record(message: Fields) -> PutRequest:
    """Return a PutRequest as a record."""
    get = message.get
    return PutRequest(get("key", b""), get("value", b""), get("lease", 0), get("ignore_value", False), get("ignore_lease", False))


def delete_record(message: Fields) -> DeleteRequest:
    """Return a DeleteRangeRequest as a record."""
    return DeleteRequest(message.get("key", b""), message.get("range_end") or None)


def txn_record(message: Fields, depth: int = 0) -> TxnRequest:
    """Return a TxnRequest as a record. Raises DecodeError when it is nested too deeply."""
    if depth > DEPTH_MAX:
        raise DecodeError("the transaction is nested too deeply")
    return TxnRequest(
        tuple(_compare(one) for one in message.get("compare", ())),
        tuple(_operation(one, depth) for one in message.get("success", ())),
        tuple(_operation(one, depth) for one in message.get("failure", ())),
    )


def _compare(message: Fields) -> Compare:
    target = message.get("target", "VERSION")
    operand: Any = message.get("value", b"") if target == "VALUE" else message.get(OPERANDS.get(target, ""), 0)
    return Compare(message.get("key", b""), target, message.get("result", "EQUAL"), operand, message.get("range_end") or None)


def _operation(message: Fields, depth: int) -> Operation:
    for name, one in message.items():
        if name == "request_range":
            return range_record(one)
        if name == "request_put":
            return put_record(one)
        if name == "request_delete_range":
            return delete_record(one)
        if name == "request_txn":
            return txn_record(one, depth + 1)
    return None


# -- answers --------------------------------------------------------------------------------------------------------------------


def without_value(record: KeyValue) -> Fields:
    """Return a key-value without its value."""
    return {
        "key": record.key,
        "create_revision": record.create_revision,
        "mod_revision": record.mod_revision,
        "version": record.version,
        "lease": record.lease,
    }


def range_message(answer: RangeResponse, request: Fields) -> Fields:
    """Return the RangeResponse to a RangeRequest."""
    kvs: list[Any] = answer.kvs
    if request.get("keys_only"):
        kvs = [without_value(record) for record in answer.kvs]
    return {"header": {"revision": answer.revision}, "kvs": kvs, "more": answer.more, "count": answer.count}


def put_message(answer: PutResponse, request: Fields) -> Fields:
    """Return the PutResponse to a PutRequest."""
    message: Fields = {"header": {"revision": answer.revision}}
    if request.get("prev_kv") and answer.previous is not None:
        message["prev_kv"] = answer.previous
    return message


def delete_message(answer: DeleteResponse, request: Fields) -> Fields:
    """Return the DeleteRangeResponse to a DeleteRangeRequest."""
    message: Fields = {"header": {"revision": answer.revision}, "deleted": answer.deleted}
    if request.get("prev_kv"):
        message["prev_kvs"] = answer.previous
    return message


def txn_message(answer: TxnResponse, request: Fields) -> Fields:
    """Return the TxnResponse to a TxnRequest. A nested one has an empty header."""
    branch = request.get("success" if answer.succeeded else "failure", ())
    responses = [_response(one, operation) for one, operation in zip(answer.responses, branch, strict=True)]
    header = {"revision": answer.revision} if answer.revision else {}
    return {"header": header, "succeeded": answer.succeeded, "responses": responses}


def _response(answer: Any, operation: Fields) -> Fields:
    name, request = next(iter(operation.items()))
    if name == "request_range":
        return {"response_range": range_message(answer, request)}
    if name == "request_put":
        return {"response_put": put_message(answer, request)}
    if name == "request_delete_range":
        return {"response_delete_range": delete_message(answer, request)}
    return {"response_txn": txn_message(answer, request)}
