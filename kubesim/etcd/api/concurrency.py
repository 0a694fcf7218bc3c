"""The Lock and Election services: queues of keys under a prefix, each on a lease; the oldest has the lock, or leads.

Upstream: etcd ``server/etcdserver/api/v3lock``, ``v3election``, ``client/v3/concurrency``.
"""

from collections.abc import Callable

from kubesim._core.revision_store import KeyValue
from kubesim.etcd.api import kv
from kubesim.etcd.api import lease as leases
from kubesim.etcd.api.calls import Answer
from kubesim.etcd.api.context import Call, Context
from kubesim.etcd.errors import EtcdError
from kubesim.etcd.wire.codec import Fields

SESSION_TTL_SECONDS = 60


class SessionExpired(EtcdError):
    """The lease ended while the call waited for its turn."""

    code = 2
    message = "mutex: session is expired"


class NotElected(EtcdError):
    """Whoever proclaims or asks for it does not lead (any more)."""

    code = 2
    message = "election: not leader"


class NoElectionLeader(EtcdError):
    """Nobody has campaigned."""

    code = 2
    message = "election: no leader"


class MissingLeaderKey(EtcdError):
    """The request does not say whose leadership it speaks of."""

    message = '"leader" field must be provided'


def prefix_end(prefix: bytes) -> bytes:
    """Return the end of the range of all keys with a prefix."""
    stripped = prefix.rstrip(b"\xff")
    return stripped[:-1] + bytes((stripped[-1] + 1,)) if stripped else b"\0"


async def lock(context: Context, call: Call, message: Fields) -> Fields:
    """Wait for a lock and return the key that holds it."""
    _, key, header = await _queue(context, call, message.get("name", b"") + b"/", message.get("lease", 0), b"")
    return {"header": header, "key": key}


async def unlock(context: Context, call: Call, message: Fields) -> Fields:
    """Let a lock go."""
    answer = await kv.delete_range(context, call, {"key": message.get("key", b"")})
    return {"header": answer["header"]}


async def _queue(context: Context, call: Call, prefix: bytes, lease: int, value: bytes) -> tuple[KeyValue, bytes, Fields]:
    """Put a key in the queue and wait until it is the oldest; return it, its name and a header."""
    if not lease:
        lease = (await leases.grant(context, call, {"TTL": SESSION_TTL_SECONDS}))["ID"]
    key = prefix + b"%x" % lease
    txn = {
        "compare": [{"key": key, "target": "CREATE", "create_revision": 0}],
        "success": [{"request_put": {"key": key, "value": value, "lease": lease}}, {"request_range": {"key": key}}],
        "failure": [{"request_range": {"key": key}}],
    }
    answer = await kv.txn(context, call, txn)
    record = answer["responses"][-1]["response_range"]["kvs"][0]
    if not answer["succeeded"] and value and record.value != value:
        await kv.put(context, call, {"key": key, "value": value, "lease": lease})
    try:
        await _wait_for_turn(context, call, prefix, record.create_revision - 1)
    except GeneratorExit:
        raise  # the client has gone: its key goes with its lease
    mine = await kv.range_(context, call, {"key": key})
    if not mine["kvs"]:
        raise SessionExpired
    return mine["kvs"][0], key, mine["header"]


async def _wait_for_turn(context: Context, call: Call, prefix: bytes, create_revision_max: int) -> None:
    """Return once no key of the queue is older than that."""
    newest_before: Fields = {
        "key": prefix,
        "range_end": prefix_end(prefix),
        "sort_target": "CREATE",
        "sort_order": "DESCEND",
        "limit": 1,
        "max_create_revision": create_revision_max,
    }
    while True:
        answer = await kv.range_(context, call, newest_before)
        if not answer["kvs"]:
            return
        await _deletion(context, answer["kvs"][0].key, answer["header"]["revision"])


async def _deletion(context: Context, key: bytes, revision: int) -> None:
    """Return when a key that was there at a revision is deleted."""
    while True:
        changed = Answer()
        watcher = context.hub.watch(key, None, revision + 1, changed.give)
        listener = changed.give
        context.on_state.append(listener)
        try:
            await changed
        finally:
            watcher.cancel()
            context.on_state.remove(listener)
        record = context.state.store.get(key)
        if record is None:
            return
        revision = context.state.store.revision


# -- elections ------------------------------------------------------------------------------------------------------------------


async def campaign(context: Context, call: Call, message: Fields) -> Fields:
    """Wait to lead, and proclaim a value."""
    name = message.get("name", b"")
    record, key, header = await _queue(context, call, name + b"/", message.get("lease", 0), message.get("value", b""))
    return {"header": header, "leader": {"name": name, "key": key, "rev": record.create_revision, "lease": record.lease}}


async def proclaim(context: Context, call: Call, message: Fields) -> Fields:
    """Change the value that the leader has proclaimed."""
    leader = _leader_of(message)
    put = {"key": leader.get("key", b""), "value": message.get("value", b""), "lease": leader.get("lease", 0)}
    return await _as_leader(context, call, leader, {"request_put": put}, must_lead=True)


async def resign(context: Context, call: Call, message: Fields) -> Fields:
    """Lead no more; whoever did not lead does nothing."""
    leader = _leader_of(message)
    return await _as_leader(context, call, leader, {"request_delete_range": {"key": leader.get("key", b"")}}, must_lead=False)


async def _as_leader(context: Context, call: Call, leader: Fields, operation: Fields, must_lead: bool) -> Fields:
    compare = {"key": leader.get("key", b""), "target": "CREATE", "create_revision": leader.get("rev", 0)}
    answer = await kv.txn(context, call, {"compare": [compare], "success": [operation]})
    if must_lead and not answer["succeeded"]:
        raise NotElected
    return {"header": answer["header"]}


def _leader_of(message: Fields) -> Fields:
    leader = message.get("leader")
    if leader is None:
        raise MissingLeaderKey
    return leader


def _oldest(name: bytes) -> Fields:
    prefix = name + b"/"
    return {"key": prefix, "range_end": prefix_end(prefix), "sort_target": "CREATE", "sort_order": "ASCEND", "limit": 1}


async def leader(context: Context, call: Call, message: Fields) -> Fields:
    """Return who leads."""
    answer = await kv.range_(context, call, _oldest(message.get("name", b"")))
    if not answer["kvs"]:
        raise NoElectionLeader
    return {"header": answer["header"], "kv": answer["kvs"][0]}


async def observe(context: Context, call: Call, message: Fields, send: Callable[[Fields], object]) -> None:
    """Send the leader's key at every change of it, for ever."""
    name = message.get("name", b"")
    prefix = name + b"/"
    sent_revision = 0
    while True:
        answer = await kv.range_(context, call, _oldest(name))
        header = answer["header"]
        if answer["kvs"] and answer["kvs"][0].mod_revision > sent_revision:
            sent_revision = answer["kvs"][0].mod_revision
            send({"header": header, "kv": answer["kvs"][0]})
        changed = Answer()
        watcher = context.hub.watch(prefix, prefix_end(prefix), header["revision"] + 1, changed.give)
        listener = changed.give
        context.on_state.append(listener)
        try:
            await changed
        finally:
            watcher.cancel()
            context.on_state.remove(listener)
