"""The KV service. Upstream: etcd ``server/etcdserver/api/v3rpc/key.go``, ``quota.go``, ``v3_server.go``."""

from kubesim.etcd import kv
from kubesim.etcd.alarms import NOSPACE, NoSpace
from kubesim.etcd.api.context import Call, Context
from kubesim.etcd.auth import rules
from kubesim.etcd.auth.errors import OldAuthRevision
from kubesim.etcd.replicated import COSTS, RECORD
from kubesim.etcd.txn import Operation, TxnRequest, check_txn, execute_txn
from kubesim.etcd.wire import records
from kubesim.etcd.wire.codec import Fields


def has_room(context: Context, kind: str, message: Fields) -> bool:
    """Whether a request fits into the quota."""
    return context.state.backend.has_room(COSTS[kind](message))


async def refuse_for_space(context: Context, call: Call) -> None:
    """Refuse what does not fit any more, once all members know. Raises NoSpace."""
    member = context.member.member_id
    if (NOSPACE, member) not in context.state.alarms.raised:
        await context.propose(call, "alarm", {"action": "ACTIVATE", "alarm": NOSPACE, "memberID": member}, asks=False)
    raise NoSpace


async def range_(context: Context, call: Call, message: Fields) -> Fields:
    """Read a range: after a round of ReadIndex, or at once when it is serializable."""
    request = records.range_record(message)
    kv.check_range(request)
    if not message.get("serializable"):
        await context.read_barrier()
    state = context.state
    if state.auth.enabled:
        rules.check_range(state.auth, context.caller(call), message)
    return context.headed(records.range_message(kv.execute_range(state, request), message))


async def put(context: Context, call: Call, message: Fields) -> Fields:
    """Write a key."""
    if not has_room(context, "put", message):
        await refuse_for_space(context, call)
    request = records.put_record(message)
    kv.check_put(request)
    return context.headed(await context.propose(call, "put", {**message, RECORD: request}))


async def delete_range(context: Context, call: Call, message: Fields) -> Fields:
    """Delete a range."""
    kv.check_delete(records.delete_record(message))
    return context.headed(await context.propose(call, "delete_range", message))


async def txn(context: Context, call: Call, message: Fields) -> Fields:
    """Execute a transaction; one that only reads does not go through the log."""
    if not has_room(context, "txn", message):
        await refuse_for_space(context, call)
    request = records.txn_record(message)
    check_txn(request, context.settings.operations_max)
    if not _only_reads(request):
        return context.headed(await context.propose(call, "txn", {**message, RECORD: request}))
    if not _is_serializable(message):
        await context.read_barrier()
    state = context.state
    caller = context.caller(call)
    rules.check_txn(state.auth, caller, message)
    answer = records.txn_message(execute_txn(state, request), message)
    if caller.revision and caller.revision != state.auth.revision:
        raise OldAuthRevision
    return context.headed(answer)


def _only_reads(request: TxnRequest) -> bool:
    return all(_reads(operation) for operation in request.success + request.failure)


def _reads(operation: Operation) -> bool:
    return isinstance(operation, kv.RangeRequest) or (isinstance(operation, TxnRequest) and _only_reads(operation))


def _is_serializable(message: Fields) -> bool:
    for branch in ("success", "failure"):
        for operation in message.get(branch, ()):
            nested = operation.get("request_txn")
            if not (_is_serializable(nested) if nested is not None else operation["request_range"].get("serializable")):
                return False
    return True


async def compact(context: Context, call: Call, message: Fields) -> Fields:
    """Compact. It is done when it is answered, ``physical`` or not."""
    context.require_admin(call)
    return context.headed(await context.propose(call, "compaction", message))
