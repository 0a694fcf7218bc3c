"""What every member does with a request of etcd's API that the log has committed: alarms, permissions, quota, then the request itself.

A request is an InternalRaftRequest as a message: one member of it, and a header with who asks and at which revision of users and roles
that was checked. The answer is the response message, whose header has the revision; who answers adds the rest of it.

Upstream: etcd ``server/etcdserver/apply`` (uber_applier.go and what it is wrapped in, from the outside in: corrupt, capped, auth, quota).
"""

from collections.abc import Callable

from kubesim.etcd import kv
from kubesim.etcd.alarms import CORRUPT, LEASE_COST_BYTES, NOSPACE, PUT_COST_BYTES, RECORD_BYTES, CorruptCluster, NoSpace
from kubesim.etcd.auth import rules
from kubesim.etcd.auth.store import WRITE, AuthStore, Caller, Permission
from kubesim.etcd.state import State
from kubesim.etcd.txn import execute_txn
from kubesim.etcd.wire import records
from kubesim.etcd.wire.codec import Fields

REFUSED_WHEN_CORRUPT = frozenset(("range", "put", "delete_range", "txn", "compaction", "lease_grant", "lease_revoke"))
RECORD = "_record"  # beside the fields of a PutRequest or TxnRequest: its record, where it was made already; not sent

Handler = Callable[[State, int, Fields, Caller], Fields]


def apply(state: State, now_ns: int, request: Fields) -> Fields:
    """Execute a committed request and return its answer. Raises EtcdError, Compacted, FutureRevision; a refused one changes nothing,
    but for one that goes over the quota: that one is done and refused, as in etcd.
    """
    header = request.get("header", {})
    caller = Caller(header.get("username", ""), header.get("auth_revision", 0))
    kind = kind_of(request)
    message = request[kind]
    if kind in rules.ADMIN_ONLY:
        state.auth.check_admin(caller)
    if state.alarms.raised:
        _check_alarms(state, kind, message)
    handler = HANDLERS[kind]
    before = state.store.revision
    if kind in COSTS:
        return _within_quota(state, COSTS[kind](message), lambda: handler(state, now_ns, message, caller))
    answer = handler(state, now_ns, {**message, "_id": header.get("ID", 0)} if kind == "authenticate" else message, caller)
    _note_growth(state, before)
    for user in state.auth.logouts:
        state.tokens.log_out(user)
    state.auth.logouts.clear()
    return answer


def kind_of(request: Fields) -> str:
    """Return which request it is."""
    for name in request:
        if name in HANDLERS:
            return name
    raise ValueError(f"no request among {', '.join(request)}")


def _check_alarms(state: State, kind: str, message: Fields) -> None:
    if kind in REFUSED_WHEN_CORRUPT and state.alarms.has(CORRUPT):
        raise CorruptCluster
    if kind in COSTS and state.alarms.has(NOSPACE) and COSTS[kind](message) > 0:
        raise NoSpace


def _within_quota(state: State, cost_bytes: int, execute: Callable[[], Fields]) -> Fields:
    has_room, before = state.backend.has_room(cost_bytes), state.store.revision
    answer = execute()
    _note_growth(state, before)
    if not has_room:
        raise NoSpace
    return answer


def _note_growth(state: State, before: int) -> None:
    if state.store.revision > before:
        size_bytes = 0
        for change in state.store.changes(before):
            value = change.value
            size_bytes += RECORD_BYTES + len(change.key) + (len(value) if type(value) is bytes else 0)
        state.backend.wrote(size_bytes)


# -- costs, for the quota -------------------------------------------------------------------------------------------------------


def put_cost(message: Fields) -> int:
    """Return what a put counts against the quota."""
    return PUT_COST_BYTES + len(message.get("key", b"")) + len(message.get("value", b""))


def txn_cost(message: Fields) -> int:
    """Return what a transaction counts: the puts of its dearer branch, not those of nested transactions."""
    return max(
        sum(put_cost(operation["request_put"]) for operation in message.get(branch, ()) if "request_put" in operation)
        for branch in ("success", "failure")
    )


COSTS: dict[str, Callable[[Fields], int]] = {"put": put_cost, "txn": txn_cost, "lease_grant": lambda message: LEASE_COST_BYTES}


# -- keys and leases ------------------------------------------------------------------------------------------------------------


def _header(state: State) -> Fields:
    return {"revision": state.store.revision}


def _put(state: State, now_ns: int, message: Fields, caller: Caller) -> Fields:
    if state.auth.enabled:
        rules.check_put(state.auth, state.leases, caller, message)
    record = message.get(RECORD) or records.put_record(message)
    return records.put_message(kv.execute_put(state, record), message)


def _delete_range(state: State, now_ns: int, message: Fields, caller: Caller) -> Fields:
    rules.check_delete(state.auth, caller, message)
    return records.delete_message(kv.execute_delete(state, records.delete_record(message)), message)


def _txn(state: State, now_ns: int, message: Fields, caller: Caller) -> Fields:
    rules.check_txn(state.auth, caller, message)
    record = message.get(RECORD) or records.txn_record(message)
    return records.txn_message(execute_txn(state, record), message)


def _compact(state: State, now_ns: int, message: Fields, caller: Caller) -> Fields:
    state.hashes.compact(state.store, message.get("revision", 0))
    state.backend.count(state.store.dump())
    return {"header": _header(state)}


def _grant(state: State, now_ns: int, message: Fields, caller: Caller) -> Fields:
    lease = state.leases.grant(message.get("ID", 0), message.get("TTL", 0), now_ns)
    return {"header": _header(state), "ID": lease.lease_id, "TTL": lease.ttl_seconds}


def _revoke(state: State, now_ns: int, message: Fields, caller: Caller) -> Fields:
    lease = message.get("ID", 0)
    rules.check_lease_keys(state.auth, state.leases, caller, WRITE, lease)
    return {"header": {"revision": state.leases.revoke(lease)}}


# -- alarms ---------------------------------------------------------------------------------------------------------------------


def _alarm(state: State, now_ns: int, message: Fields, caller: Caller) -> Fields:
    action, kind, member = message.get("action", "GET"), message.get("alarm", "NONE"), message.get("memberID", 0)
    found: list[tuple[str, int]] = []
    if action == "GET":
        found = state.alarms.listed(kind)
    elif action == "ACTIVATE" and kind != "NONE":
        found = [state.alarms.activate(kind, member)]
    elif action == "DEACTIVATE":
        gone = state.alarms.deactivate(kind, member)
        found = [gone] if gone is not None else []
    return {"header": _header(state), "alarms": [{"memberID": number, "alarm": name} for name, number in found]}


# -- users and roles ------------------------------------------------------------------------------------------------------------


def _change_auth(change: Callable[[AuthStore, Fields], None]) -> Handler:
    def handler(state: State, now_ns: int, message: Fields, caller: Caller) -> Fields:
        change(state.auth, message)
        return {"header": _header(state)}

    return handler


def _auth_status(state: State, now_ns: int, message: Fields, caller: Caller) -> Fields:
    return {"header": _header(state), "enabled": state.auth.enabled, "authRevision": state.auth.revision}


def _authenticate(state: State, now_ns: int, message: Fields, caller: Caller) -> Fields:
    name = message.get("name", "")
    state.auth.check_login(name)
    token = f"{message.get('simple_token', '')}.{message['_id']}"
    state.tokens.give(token, name, now_ns)
    return {"header": _header(state), "token": token}


def _user_get(state: State, now_ns: int, message: Fields, caller: Caller) -> Fields:
    rules.check_user_get(state.auth, caller, message)
    return {"header": _header(state), "roles": list(state.auth.user(message.get("name", "")).roles)}


def _user_list(state: State, now_ns: int, message: Fields, caller: Caller) -> Fields:
    return {"header": _header(state), "users": sorted(state.auth.users)}


def _role_get(state: State, now_ns: int, message: Fields, caller: Caller) -> Fields:
    rules.check_role_get(state.auth, caller, message)
    permissions = state.auth.permissions_of(message.get("role", ""))
    return {
        "header": _header(state),
        "perm": [{"permType": one.kind, "key": one.key, "range_end": one.range_end} for one in permissions],
    }


def _role_list(state: State, now_ns: int, message: Fields, caller: Caller) -> Fields:
    return {"header": _header(state), "roles": sorted(state.auth.roles)}


def _user_add(auth: AuthStore, message: Fields) -> None:
    options = message.get("options", {})
    auth.add_user(message.get("name", ""), message.get("hashedPassword", ""), options.get("no_password", False))


def _grant_permission(auth: AuthStore, message: Fields) -> None:
    given = message.get("perm")
    permission = None
    if given is not None:
        permission = Permission(given.get("key", b""), given.get("range_end", b""), given.get("permType", "READ"))
    auth.grant_permission(message.get("name", ""), permission)


def _revoke_permission(auth: AuthStore, message: Fields) -> None:
    auth.revoke_permission(message.get("role", ""), message.get("key", b""), message.get("range_end", b""))


HANDLERS: dict[str, Handler] = {
    "put": _put,
    "delete_range": _delete_range,
    "txn": _txn,
    "compaction": _compact,
    "lease_grant": _grant,
    "lease_revoke": _revoke,
    "alarm": _alarm,
    "auth_enable": _change_auth(lambda auth, message: auth.enable()),
    "auth_disable": _change_auth(lambda auth, message: auth.disable()),
    "auth_status": _auth_status,
    "authenticate": _authenticate,
    "auth_user_add": _change_auth(_user_add),
    "auth_user_delete": _change_auth(lambda auth, message: auth.delete_user(message.get("name", ""))),
    "auth_user_get": _user_get,
    "auth_user_change_password": _change_auth(
        lambda auth, message: auth.change_password(message.get("name", ""), message.get("hashedPassword", ""))
    ),
    "auth_user_grant_role": _change_auth(lambda auth, message: auth.grant_role(message.get("user", ""), message.get("role", ""))),
    "auth_user_revoke_role": _change_auth(lambda auth, message: auth.revoke_role(message.get("name", ""), message.get("role", ""))),
    "auth_user_list": _user_list,
    "auth_role_list": _role_list,
    "auth_role_add": _change_auth(lambda auth, message: auth.add_role(message.get("name", ""))),
    "auth_role_delete": _change_auth(lambda auth, message: auth.delete_role(message.get("role", ""))),
    "auth_role_get": _role_get,
    "auth_role_grant_permission": _change_auth(_grant_permission),
    "auth_role_revoke_permission": _change_auth(_revoke_permission),
}
