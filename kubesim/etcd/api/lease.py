"""The Lease service. Upstream: etcd ``server/etcdserver/api/v3rpc/lease.go``, ``v3_server.go``."""

from kubesim.etcd.api.context import Call, Context
from kubesim.etcd.api.kv import has_room, refuse_for_space
from kubesim.etcd.auth import rules
from kubesim.etcd.auth.errors import OldAuthRevision
from kubesim.etcd.auth.store import READ
from kubesim.etcd.local import LEASE_ID_MAX
from kubesim.etcd.wire.codec import Fields


async def grant(context: Context, call: Call, message: Fields) -> Fields:
    """Grant a lease; number 0 has the server choose."""
    if not has_room(context, "lease_grant", message):
        await refuse_for_space(context, call)
    context.require_user(call)
    if not message.get("ID"):
        message = {**message, "ID": _free_number(context)}
    return context.headed(await context.propose(call, "lease_grant", message))


def _free_number(context: Context) -> int:
    while True:
        number = context.random.u64() & LEASE_ID_MAX
        if number and number not in context.state.leases:
            return number


async def revoke(context: Context, call: Call, message: Fields) -> Fields:
    """Revoke a lease and delete its keys."""
    context.require_user(call)
    return context.headed(await context.propose(call, "lease_revoke", message))


async def time_to_live(context: Context, call: Call, message: Fields) -> Fields:
    """Tell how long a lease lives, and which keys hang on it; the leader knows."""
    context.require_user(call)
    lease, wants_keys, auth = message.get("ID", 0), message.get("keys", False), context.state.auth
    revision = auth.revision
    if wants_keys:
        rules.check_lease_keys(auth, context.state.leases, context.caller(call), READ, lease)
    seconds, granted, keys = await context.ask(("time_to_live", lease))
    if wants_keys and context.state.auth.revision != revision:
        raise OldAuthRevision
    answer: Fields = {"header": {}, "ID": lease, "TTL": seconds, "grantedTTL": granted}
    if wants_keys:
        answer["keys"] = keys
    return context.headed(answer)


async def leases(context: Context, call: Call, message: Fields) -> Fields:
    """List all leases, those that end first first."""
    context.require_user(call)
    state = context.state
    listed = state.leases.listed()
    caller = context.caller(call)
    for lease in listed:
        rules.check_lease_keys(state.auth, state.leases, caller, READ, lease)
    return context.headed({"leases": [{"ID": lease} for lease in listed]})


async def keep_alive(context: Context, call: Call, message: Fields) -> Fields:
    """Renew a lease; a TTL of 0: there is no such lease."""
    header = context.headed({})["header"]
    lease = message.get("ID", 0)
    return {"header": header, "ID": lease, "TTL": await context.ask(("keep_alive", lease))}
