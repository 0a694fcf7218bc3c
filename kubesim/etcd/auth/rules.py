"""Which request needs which permission. The rules that are checked where a request is applied, so that every member decides alike.

Upstream: etcd ``server/etcdserver/apply/apply_auth.go``, ``server/etcdserver/txn``.
"""

from kubesim.etcd.auth.errors import AuthError, PermissionDenied, UserEmpty
from kubesim.etcd.auth.store import READ, WRITE, AuthStore, Caller
from kubesim.etcd.lease import Leases
from kubesim.etcd.wire.codec import Fields

# Requests through the log that only root may make. ``auth_user_get`` and ``auth_role_get`` have a rule of their own.
ADMIN_ONLY = frozenset(
    (
        "auth_enable",
        "auth_disable",
        "auth_status",
        "auth_user_add",
        "auth_user_delete",
        "auth_user_change_password",
        "auth_user_grant_role",
        "auth_user_revoke_role",
        "auth_user_list",
        "auth_role_add",
        "auth_role_delete",
        "auth_role_grant_permission",
        "auth_role_revoke_permission",
        "auth_role_list",
    )
)


def check_range(auth: AuthStore, caller: Caller, message: Fields) -> None:
    """Check a read of a range."""
    auth.check(caller, READ, message.get("key", b""), message.get("range_end"))


def check_put(auth: AuthStore, leases: Leases, caller: Caller, message: Fields) -> None:
    """Check a put: the key, the keys of the lease (which would go with it), and reading what was there."""
    key = message.get("key", b"")
    auth.check(caller, WRITE, key)
    check_lease_keys(auth, leases, caller, WRITE, message.get("lease", 0))
    if message.get("prev_kv"):
        auth.check(caller, READ, key)


def check_delete(auth: AuthStore, caller: Caller, message: Fields) -> None:
    """Check a delete of a range."""
    key, range_end = message.get("key", b""), message.get("range_end")
    auth.check(caller, WRITE, key, range_end)
    if message.get("prev_kv"):
        auth.check(caller, READ, key, range_end)


def check_txn(auth: AuthStore, caller: Caller, message: Fields) -> None:
    """Check everything that a transaction may do, on both branches."""
    if not auth.enabled:
        return
    for compare in message.get("compare", ()):
        check_range(auth, caller, compare)
    for operation in (*message.get("success", ()), *message.get("failure", ())):
        for name, request in operation.items():
            if name == "request_range":
                check_range(auth, caller, request)
            elif name == "request_put":
                auth.check(caller, WRITE, request.get("key", b""))
            elif name == "request_delete_range":
                if request.get("prev_kv"):
                    check_range(auth, caller, request)
                auth.check(caller, WRITE, request.get("key", b""), request.get("range_end"))
            elif name == "request_txn":
                check_txn(auth, caller, request)


def check_lease_keys(auth: AuthStore, leases: Leases, caller: Caller, kind: str, lease: int) -> None:
    """Check all keys of a lease; an unknown lease has none. O(keys), but nothing for root or without authentication."""
    if not auth.enabled or lease not in leases:
        return
    try:
        auth.check_admin(caller)
    except (AuthError, PermissionDenied, UserEmpty):
        for key in leases.keys(lease):
            auth.check(caller, kind, key)


def check_user_get(auth: AuthStore, caller: Caller, message: Fields) -> None:
    """Let a user see itself, and root all."""
    if not caller.name or message.get("name", "") != caller.name:
        auth.check_admin(caller)


def check_role_get(auth: AuthStore, caller: Caller, message: Fields) -> None:
    """Let a user see the roles it has, and root all."""
    user = auth.users.get(caller.name)
    if user is None or message.get("role", "") not in user.roles:
        auth.check_admin(caller)
