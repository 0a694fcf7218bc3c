"""The table of all methods of the API: what a transport needs to serve them."""

from collections.abc import Callable, Coroutine
from typing import Any

from kubesim.etcd.api import auth, cluster, concurrency, kv, lease, maintenance
from kubesim.etcd.api.context import Call, Context
from kubesim.etcd.wire.codec import Fields
from kubesim.etcd.wire.schema import METHODS, Method

Unary = Callable[[Context, Call, Fields], Coroutine[Any, Any, Fields]]

UNARY: dict[str, Unary] = {
    "/etcdserverpb.KV/Range": kv.range_,
    "/etcdserverpb.KV/Put": kv.put,
    "/etcdserverpb.KV/DeleteRange": kv.delete_range,
    "/etcdserverpb.KV/Txn": kv.txn,
    "/etcdserverpb.KV/Compact": kv.compact,
    "/etcdserverpb.Lease/LeaseGrant": lease.grant,
    "/etcdserverpb.Lease/LeaseRevoke": lease.revoke,
    "/etcdserverpb.Lease/LeaseTimeToLive": lease.time_to_live,
    "/etcdserverpb.Lease/LeaseLeases": lease.leases,
    "/etcdserverpb.Cluster/MemberAdd": cluster.add,
    "/etcdserverpb.Cluster/MemberRemove": cluster.remove,
    "/etcdserverpb.Cluster/MemberUpdate": cluster.update,
    "/etcdserverpb.Cluster/MemberList": cluster.list_,
    "/etcdserverpb.Cluster/MemberPromote": cluster.promote,
    "/etcdserverpb.Maintenance/Alarm": maintenance.alarm,
    "/etcdserverpb.Maintenance/Status": maintenance.status,
    "/etcdserverpb.Maintenance/Defragment": maintenance.defragment,
    "/etcdserverpb.Maintenance/Hash": maintenance.hash_,
    "/etcdserverpb.Maintenance/HashKV": maintenance.hash_kv,
    "/etcdserverpb.Maintenance/MoveLeader": maintenance.move_leader,
    "/etcdserverpb.Maintenance/Downgrade": maintenance.downgrade,
    "/etcdserverpb.Auth/AuthEnable": auth.proposed("auth_enable"),
    "/etcdserverpb.Auth/AuthDisable": auth.proposed("auth_disable"),
    "/etcdserverpb.Auth/AuthStatus": auth.proposed("auth_status"),
    "/etcdserverpb.Auth/Authenticate": auth.authenticate,
    "/etcdserverpb.Auth/UserAdd": auth.user_add,
    "/etcdserverpb.Auth/UserGet": auth.proposed("auth_user_get"),
    "/etcdserverpb.Auth/UserList": auth.proposed("auth_user_list"),
    "/etcdserverpb.Auth/UserDelete": auth.proposed("auth_user_delete"),
    "/etcdserverpb.Auth/UserChangePassword": auth.user_change_password,
    "/etcdserverpb.Auth/UserGrantRole": auth.proposed("auth_user_grant_role"),
    "/etcdserverpb.Auth/UserRevokeRole": auth.proposed("auth_user_revoke_role"),
    "/etcdserverpb.Auth/RoleAdd": auth.proposed("auth_role_add"),
    "/etcdserverpb.Auth/RoleGet": auth.proposed("auth_role_get"),
    "/etcdserverpb.Auth/RoleList": auth.proposed("auth_role_list"),
    "/etcdserverpb.Auth/RoleDelete": auth.proposed("auth_role_delete"),
    "/etcdserverpb.Auth/RoleGrantPermission": auth.proposed("auth_role_grant_permission"),
    "/etcdserverpb.Auth/RoleRevokePermission": auth.proposed("auth_role_revoke_permission"),
    "/v3lockpb.Lock/Lock": concurrency.lock,
    "/v3lockpb.Lock/Unlock": concurrency.unlock,
    "/v3electionpb.Election/Campaign": concurrency.campaign,
    "/v3electionpb.Election/Proclaim": concurrency.proclaim,
    "/v3electionpb.Election/Leader": concurrency.leader,
    "/v3electionpb.Election/Resign": concurrency.resign,
}
WATCH = "/etcdserverpb.Watch/Watch"
KEEP_ALIVE = "/etcdserverpb.Lease/LeaseKeepAlive"
SNAPSHOT = "/etcdserverpb.Maintenance/Snapshot"
OBSERVE = "/v3electionpb.Election/Observe"

BY_PATH: dict[str, Method] = {method.path: method for method in METHODS}
BY_GATEWAY_PATH: dict[str, Method] = {path: method for method in METHODS for path in method.gateway_paths}


async def unary(context: Context, call: Call, method: Method, message: Fields) -> Fields:
    """Answer a call that is one message. Raises EtcdError, Compacted, FutureRevision, DecodeError."""
    raft = context.member.node.raft
    if raft.learner or call.needs_leader:
        is_local_read = method.name == "Status" or (method.path == "/etcdserverpb.KV/Range" and message.get("serializable", False))
        context.check_member(call, serves_learner=is_local_read)
    return await UNARY[method.path](context, call, message)
