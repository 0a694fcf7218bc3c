"""Transactions: compares, then one of two branches of operations, all or nothing, as one revision.

All compares, those of nested transactions included, look at the state before the transaction, so the branches to take are chosen
first; then the operations on them are checked against that state, and only then is anything written.

Upstream: etcd ``server/etcdserver/txn/txn.go`` and ``api/v3rpc/key.go`` (limits, duplicate keys).
"""

from typing import Any, NamedTuple, Union

from kubesim._core.revision_store import Compacted, FutureRevision, KeyValue, RevisionStore
from kubesim.etcd.errors import DuplicateKey, KeyNotFound, KeyNotProvided, TooManyOperations
from kubesim.etcd.kv import (
    DeleteRequest,
    DeleteResponse,
    PutRequest,
    PutResponse,
    RangeRequest,
    RangeResponse,
    check_delete,
    check_put,
    check_range,
    execute_delete,
    execute_put,
    execute_range,
    require_key,
    require_lease,
)
from kubesim.etcd.state import State

OPERATIONS_MAX = 128

Operation = Union[RangeRequest, PutRequest, DeleteRequest, "TxnRequest", None]  # None: a request with no member set
Response = Union[RangeResponse, PutResponse, DeleteResponse, "TxnResponse"]


class Compare(NamedTuple):
    """One condition. ``target`` is VERSION, CREATE, MOD, VALUE or LEASE, ``result`` EQUAL, NOT_EQUAL, GREATER or LESS."""

    key: bytes
    target: str
    result: str
    operand: Any
    range_end: bytes | None = None


class TxnRequest(NamedTuple):
    """If all compares hold then ``success``, else ``failure``."""

    compares: tuple[Compare, ...] = ()
    success: tuple[Operation, ...] = ()
    failure: tuple[Operation, ...] = ()


class TxnResponse(NamedTuple):
    """``responses`` answer the operations of the branch taken, in order."""

    revision: int
    succeeded: bool
    responses: list[Response]


class Path(NamedTuple):
    """The branch that a transaction takes, and those of its nested transactions, in order."""

    succeeded: bool
    operations: tuple[Operation, ...]
    nested: "tuple[Path, ...]"


# -- checks of the request alone ------------------------------------------------------------------------------------------------


def check_txn(request: TxnRequest, operations_max: int = OPERATIONS_MAX) -> None:
    """Refuse what etcd refuses at its door, in its order. Raises TooManyOperations, KeyNotProvided, DuplicateKey and others."""
    _check_operations(request, operations_max)
    _written_keys(request.success)
    _written_keys(request.failure)


def _check_operations(request: TxnRequest, operations_max: int) -> None:
    longest = max(len(request.compares), len(request.success), len(request.failure))
    if longest > operations_max:
        raise TooManyOperations
    if not all(compare.key for compare in request.compares):
        raise KeyNotProvided
    for operation in request.success + request.failure:
        match operation:
            case RangeRequest():
                check_range(operation)
            case PutRequest():
                check_put(operation)
            case DeleteRequest():
                check_delete(operation)
            case TxnRequest():
                _check_operations(operation, operations_max - longest)
            case _:
                raise KeyNotFound


def _written_keys(operations: tuple[Operation, ...]) -> tuple[set[bytes], list[DeleteRequest]]:
    """The keys put and the ranges deleted in a branch. Raises DuplicateKey if a key is put twice, or put and deleted."""
    puts: set[bytes] = set()
    deletes = [operation for operation in operations if isinstance(operation, DeleteRequest)]
    for operation in operations:
        if isinstance(operation, TxnRequest):
            success_puts, success_deletes = _written_keys(operation.success)
            failure_puts, failure_deletes = _written_keys(operation.failure)
            _add_puts(puts, success_puts | failure_puts, deletes)
            deletes += success_deletes + failure_deletes
    for operation in operations:
        if isinstance(operation, PutRequest):
            _add_puts(puts, {operation.key}, deletes)
    return puts, deletes


def _add_puts(puts: set[bytes], more: set[bytes], deletes: list[DeleteRequest]) -> None:
    if puts & more or any(_covers(delete, key) for key in more for delete in deletes):
        raise DuplicateKey
    puts |= more


def _covers(delete: DeleteRequest, key: bytes) -> bool:
    """Whether etcd sees the conflict. It does not for a delete of all keys from one on, whose end it takes for the key ``\\0``."""
    if not delete.range_end:
        return key == delete.key
    return delete.key <= key < delete.range_end


# -- execution ------------------------------------------------------------------------------------------------------------------


def execute_txn(state: State, request: TxnRequest) -> TxnResponse:
    """Execute a checked transaction; an error leaves everything as it was.

    Raises Compacted, FutureRevision, KeyNotFound, LeaseNotFound.
    """
    path = _choose(state.store, request)
    _require(state, path)
    state.store.begin()
    responses = _apply(state, path)
    return TxnResponse(state.store.commit(), path.succeeded, responses)


def _choose(store: RevisionStore, request: TxnRequest) -> Path:
    succeeded = all(_holds(store, compare) for compare in request.compares)
    operations = request.success if succeeded else request.failure
    return Path(succeeded, operations, tuple(_choose(store, nested) for nested in operations if isinstance(nested, TxnRequest)))


def _holds(store: RevisionStore, compare: Compare) -> bool:
    """A compare over a range holds for each key of it; a range without keys compares like a missing key."""
    records = store.range(compare.key, compare.range_end).kvs
    if not records:
        return compare.target != "VALUE" and _relates(0, compare)
    return all(_relates(_field(record, compare), compare) for record in records)


def _field(record: KeyValue, compare: Compare) -> Any:
    match compare.target:
        case "VERSION":
            return record.version
        case "CREATE":
            return record.create_revision
        case "MOD":
            return record.mod_revision
        case "LEASE":
            return record.lease
        case "VALUE":
            return record.value
    return compare.operand  # an unknown target compares as equal


def _relates(found: Any, compare: Compare) -> bool:
    match compare.result:
        case "EQUAL":
            return found == compare.operand
        case "NOT_EQUAL":
            return found != compare.operand
        case "GREATER":
            return found > compare.operand
        case "LESS":
            return found < compare.operand
    return True


def _require(state: State, path: Path) -> None:
    """Check the operations of the path against the state before. A negative revision is not "now" here."""
    store, nested = state.store, iter(path.nested)
    for operation in path.operations:
        match operation:
            case RangeRequest():
                if operation.revision > store.revision:
                    raise FutureRevision(operation.revision, store.revision)
                if operation.revision and operation.revision < store.compact_revision:
                    raise Compacted(operation.revision, store.compact_revision)
            case PutRequest():
                require_key(state, operation)
                require_lease(state, operation)
            case TxnRequest():
                _require(state, next(nested))


def _apply(state: State, path: Path) -> list[Response]:
    nested, responses = iter(path.nested), list[Response]()
    for operation in path.operations:
        match operation:
            case RangeRequest():
                responses.append(execute_range(state, operation))
            case PutRequest():
                responses.append(execute_put(state, operation))
            case DeleteRequest():
                responses.append(execute_delete(state, operation))
            case TxnRequest():
                inner = next(nested)
                responses.append(TxnResponse(0, inner.succeeded, _apply(state, inner)))
    return responses
