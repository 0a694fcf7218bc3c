"""The messages and services of etcd's v3 API: names, numbers and types of fields. Facts of the wire, one line per message.

A field is ``name=number type``; ``type*`` is repeated, a leading ``?`` marks a member of a union, which is sent at its default too.
Upstream: ``api/etcdserverpb/{rpc,raft_internal}.proto``, ``api/mvccpb/kv.proto``, ``api/authpb/auth.proto``, ``v3lock.proto``,
``v3election.proto``.
"""

ENUMS = """
SortOrder: NONE ASCEND DESCEND
SortTarget: KEY VERSION CREATE MOD VALUE
CompareResult: EQUAL GREATER LESS NOT_EQUAL
CompareTarget: VERSION CREATE MOD VALUE LEASE
FilterType: NOPUT NODELETE
EventType: PUT DELETE
AlarmType: NONE NOSPACE CORRUPT
AlarmAction: GET ACTIVATE DEACTIVATE
DowngradeAction: VALIDATE ENABLE CANCEL
PermissionType: READ WRITE READWRITE
"""

MESSAGES = """
ResponseHeader: cluster_id=1 uint64, member_id=2 uint64, revision=3 int64, raft_term=4 uint64
KeyValue: key=1 bytes, create_revision=2 int64, mod_revision=3 int64, version=4 int64, value=5 bytes, lease=6 int64
Event: type=1 EventType, kv=2 KeyValue, prev_kv=3 KeyValue
RangeRequest: key=1 bytes, range_end=2 bytes, limit=3 int64, revision=4 int64, sort_order=5 SortOrder, sort_target=6 SortTarget, \
serializable=7 bool, keys_only=8 bool, count_only=9 bool, min_mod_revision=10 int64, max_mod_revision=11 int64, \
min_create_revision=12 int64, max_create_revision=13 int64
RangeResponse: header=1 ResponseHeader, kvs=2 KeyValue*, more=3 bool, count=4 int64
PutRequest: key=1 bytes, value=2 bytes, lease=3 int64, prev_kv=4 bool, ignore_value=5 bool, ignore_lease=6 bool
PutResponse: header=1 ResponseHeader, prev_kv=2 KeyValue
DeleteRangeRequest: key=1 bytes, range_end=2 bytes, prev_kv=3 bool
DeleteRangeResponse: header=1 ResponseHeader, deleted=2 int64, prev_kvs=3 KeyValue*
RequestOp: request_range=1 ?RangeRequest, request_put=2 ?PutRequest, request_delete_range=3 ?DeleteRangeRequest, request_txn=4 ?TxnRequest
ResponseOp: response_range=1 ?RangeResponse, response_put=2 ?PutResponse, response_delete_range=3 ?DeleteRangeResponse, \
response_txn=4 ?TxnResponse
Compare: result=1 CompareResult, target=2 CompareTarget, key=3 bytes, version=4 ?int64, create_revision=5 ?int64, mod_revision=6 ?int64, \
value=7 ?bytes, lease=8 ?int64, range_end=64 bytes
TxnRequest: compare=1 Compare*, success=2 RequestOp*, failure=3 RequestOp*
TxnResponse: header=1 ResponseHeader, succeeded=2 bool, responses=3 ResponseOp*
CompactionRequest: revision=1 int64, physical=2 bool
CompactionResponse: header=1 ResponseHeader
HashRequest:
HashResponse: header=1 ResponseHeader, hash=2 uint32
HashKVRequest: revision=1 int64
HashKVResponse: header=1 ResponseHeader, hash=2 uint32, compact_revision=3 int64, hash_revision=4 int64
SnapshotRequest:
SnapshotResponse: header=1 ResponseHeader, remaining_bytes=2 uint64, blob=3 bytes, version=4 string
WatchRequest: create_request=1 ?WatchCreateRequest, cancel_request=2 ?WatchCancelRequest, progress_request=3 ?WatchProgressRequest
WatchCreateRequest: key=1 bytes, range_end=2 bytes, start_revision=3 int64, progress_notify=4 bool, filters=5 FilterType*, \
prev_kv=6 bool, watch_id=7 int64, fragment=8 bool
WatchCancelRequest: watch_id=1 int64
WatchProgressRequest:
WatchResponse: header=1 ResponseHeader, watch_id=2 int64, created=3 bool, canceled=4 bool, compact_revision=5 int64, \
cancel_reason=6 string, fragment=7 bool, events=11 Event*
LeaseGrantRequest: TTL=1 int64, ID=2 int64
LeaseGrantResponse: header=1 ResponseHeader, ID=2 int64, TTL=3 int64, error=4 string
LeaseRevokeRequest: ID=1 int64
LeaseRevokeResponse: header=1 ResponseHeader
LeaseKeepAliveRequest: ID=1 int64
LeaseKeepAliveResponse: header=1 ResponseHeader, ID=2 int64, TTL=3 int64
LeaseTimeToLiveRequest: ID=1 int64, keys=2 bool
LeaseTimeToLiveResponse: header=1 ResponseHeader, ID=2 int64, TTL=3 int64, grantedTTL=4 int64, keys=5 bytes*
LeaseLeasesRequest:
LeaseStatus: ID=1 int64
LeaseLeasesResponse: header=1 ResponseHeader, leases=2 LeaseStatus*
Member: ID=1 uint64, name=2 string, peerURLs=3 string*, clientURLs=4 string*, isLearner=5 bool
MemberAddRequest: peerURLs=1 string*, isLearner=2 bool
MemberAddResponse: header=1 ResponseHeader, member=2 Member, members=3 Member*
MemberRemoveRequest: ID=1 uint64
MemberRemoveResponse: header=1 ResponseHeader, members=2 Member*
MemberUpdateRequest: ID=1 uint64, peerURLs=2 string*
MemberUpdateResponse: header=1 ResponseHeader, members=2 Member*
MemberListRequest: linearizable=1 bool
MemberListResponse: header=1 ResponseHeader, members=2 Member*
MemberPromoteRequest: ID=1 uint64
MemberPromoteResponse: header=1 ResponseHeader, members=2 Member*
DefragmentRequest:
DefragmentResponse: header=1 ResponseHeader
MoveLeaderRequest: targetID=1 uint64
MoveLeaderResponse: header=1 ResponseHeader
AlarmRequest: action=1 AlarmAction, memberID=2 uint64, alarm=3 AlarmType
AlarmMember: memberID=1 uint64, alarm=2 AlarmType
AlarmResponse: header=1 ResponseHeader, alarms=2 AlarmMember*
DowngradeRequest: action=1 DowngradeAction, version=2 string
DowngradeResponse: header=1 ResponseHeader, version=2 string
StatusRequest:
StatusResponse: header=1 ResponseHeader, version=2 string, dbSize=3 int64, leader=4 uint64, raftIndex=5 uint64, raftTerm=6 uint64, \
raftAppliedIndex=7 uint64, errors=8 string*, dbSizeInUse=9 int64, isLearner=10 bool, storageVersion=11 string, dbSizeQuota=12 int64, \
downgradeInfo=13 DowngradeInfo
DowngradeInfo: enabled=1 bool, targetVersion=2 string
UserAddOptions: no_password=1 bool
Permission: permType=1 PermissionType, key=2 bytes, range_end=3 bytes
AuthEnableRequest:
AuthDisableRequest:
AuthStatusRequest:
AuthenticateRequest: name=1 string, password=2 string
AuthUserAddRequest: name=1 string, password=2 string, options=3 UserAddOptions, hashedPassword=4 string
AuthUserGetRequest: name=1 string
AuthUserDeleteRequest: name=1 string
AuthUserChangePasswordRequest: name=1 string, password=2 string, hashedPassword=3 string
AuthUserGrantRoleRequest: user=1 string, role=2 string
AuthUserRevokeRoleRequest: name=1 string, role=2 string
AuthRoleAddRequest: name=1 string
AuthRoleGetRequest: role=1 string
AuthUserListRequest:
AuthRoleListRequest:
AuthRoleDeleteRequest: role=1 string
AuthRoleGrantPermissionRequest: name=1 string, perm=2 Permission
AuthRoleRevokePermissionRequest: role=1 string, key=2 bytes, range_end=3 bytes
AuthEnableResponse: header=1 ResponseHeader
AuthDisableResponse: header=1 ResponseHeader
AuthStatusResponse: header=1 ResponseHeader, enabled=2 bool, authRevision=3 uint64
AuthenticateResponse: header=1 ResponseHeader, token=2 string
AuthUserAddResponse: header=1 ResponseHeader
AuthUserGetResponse: header=1 ResponseHeader, roles=2 string*
AuthUserDeleteResponse: header=1 ResponseHeader
AuthUserChangePasswordResponse: header=1 ResponseHeader
AuthUserGrantRoleResponse: header=1 ResponseHeader
AuthUserRevokeRoleResponse: header=1 ResponseHeader
AuthRoleAddResponse: header=1 ResponseHeader
AuthRoleGetResponse: header=1 ResponseHeader, perm=2 Permission*
AuthRoleListResponse: header=1 ResponseHeader, roles=2 string*
AuthUserListResponse: header=1 ResponseHeader, users=2 string*
AuthRoleDeleteResponse: header=1 ResponseHeader
AuthRoleGrantPermissionResponse: header=1 ResponseHeader
AuthRoleRevokePermissionResponse: header=1 ResponseHeader
LockRequest: name=1 bytes, lease=2 int64
LockResponse: header=1 ResponseHeader, key=2 bytes
UnlockRequest: key=1 bytes
UnlockResponse: header=1 ResponseHeader
LeaderKey: name=1 bytes, key=2 bytes, rev=3 int64, lease=4 int64
CampaignRequest: name=1 bytes, lease=2 int64, value=3 bytes
CampaignResponse: header=1 ResponseHeader, leader=2 LeaderKey
LeaderRequest: name=1 bytes
LeaderResponse: header=1 ResponseHeader, kv=2 KeyValue
ResignRequest: leader=1 LeaderKey
ResignResponse: header=1 ResponseHeader
ProclaimRequest: leader=1 LeaderKey, value=2 bytes
ProclaimResponse: header=1 ResponseHeader
RequestHeader: ID=1 uint64, username=2 string, auth_revision=3 uint64
InternalAuthenticateRequest: name=1 string, password=2 string, simple_token=3 string
InternalRaftRequest: header=100 RequestHeader, ID=1 uint64, range=3 RangeRequest, put=4 PutRequest, delete_range=5 DeleteRangeRequest, \
txn=6 TxnRequest, compaction=7 CompactionRequest, lease_grant=8 LeaseGrantRequest, lease_revoke=9 LeaseRevokeRequest, \
alarm=10 AlarmRequest, auth_enable=1000 AuthEnableRequest, auth_disable=1011 AuthDisableRequest, auth_status=1013 AuthStatusRequest, \
authenticate=1012 InternalAuthenticateRequest, auth_user_add=1100 AuthUserAddRequest, auth_user_delete=1101 AuthUserDeleteRequest, \
auth_user_get=1102 AuthUserGetRequest, auth_user_change_password=1103 AuthUserChangePasswordRequest, \
auth_user_grant_role=1104 AuthUserGrantRoleRequest, auth_user_revoke_role=1105 AuthUserRevokeRoleRequest, \
auth_user_list=1106 AuthUserListRequest, auth_role_list=1107 AuthRoleListRequest, auth_role_add=1200 AuthRoleAddRequest, \
auth_role_delete=1201 AuthRoleDeleteRequest, auth_role_get=1202 AuthRoleGetRequest, \
auth_role_grant_permission=1203 AuthRoleGrantPermissionRequest, auth_role_revoke_permission=1204 AuthRoleRevokePermissionRequest
"""

# service, method, request, response, gateway paths; ``*`` before a message: a stream of them.
METHODS = """
etcdserverpb.KV Range RangeRequest RangeResponse /v3/kv/range
etcdserverpb.KV Put PutRequest PutResponse /v3/kv/put
etcdserverpb.KV DeleteRange DeleteRangeRequest DeleteRangeResponse /v3/kv/deleterange
etcdserverpb.KV Txn TxnRequest TxnResponse /v3/kv/txn
etcdserverpb.KV Compact CompactionRequest CompactionResponse /v3/kv/compaction
etcdserverpb.Watch Watch *WatchRequest *WatchResponse /v3/watch
etcdserverpb.Lease LeaseGrant LeaseGrantRequest LeaseGrantResponse /v3/lease/grant
etcdserverpb.Lease LeaseRevoke LeaseRevokeRequest LeaseRevokeResponse /v3/lease/revoke /v3/kv/lease/revoke
etcdserverpb.Lease LeaseKeepAlive *LeaseKeepAliveRequest *LeaseKeepAliveResponse /v3/lease/keepalive
etcdserverpb.Lease LeaseTimeToLive LeaseTimeToLiveRequest LeaseTimeToLiveResponse /v3/lease/timetolive /v3/kv/lease/timetolive
etcdserverpb.Lease LeaseLeases LeaseLeasesRequest LeaseLeasesResponse /v3/lease/leases /v3/kv/lease/leases
etcdserverpb.Cluster MemberAdd MemberAddRequest MemberAddResponse /v3/cluster/member/add
etcdserverpb.Cluster MemberRemove MemberRemoveRequest MemberRemoveResponse /v3/cluster/member/remove
etcdserverpb.Cluster MemberUpdate MemberUpdateRequest MemberUpdateResponse /v3/cluster/member/update
etcdserverpb.Cluster MemberList MemberListRequest MemberListResponse /v3/cluster/member/list
etcdserverpb.Cluster MemberPromote MemberPromoteRequest MemberPromoteResponse /v3/cluster/member/promote
etcdserverpb.Maintenance Alarm AlarmRequest AlarmResponse /v3/maintenance/alarm
etcdserverpb.Maintenance Status StatusRequest StatusResponse /v3/maintenance/status
etcdserverpb.Maintenance Defragment DefragmentRequest DefragmentResponse /v3/maintenance/defragment
etcdserverpb.Maintenance Hash HashRequest HashResponse /v3/maintenance/hash
etcdserverpb.Maintenance HashKV HashKVRequest HashKVResponse /v3/maintenance/hashkv
etcdserverpb.Maintenance Snapshot SnapshotRequest *SnapshotResponse /v3/maintenance/snapshot
etcdserverpb.Maintenance MoveLeader MoveLeaderRequest MoveLeaderResponse /v3/maintenance/transfer-leadership
etcdserverpb.Maintenance Downgrade DowngradeRequest DowngradeResponse /v3/maintenance/downgrade
etcdserverpb.Auth AuthEnable AuthEnableRequest AuthEnableResponse /v3/auth/enable
etcdserverpb.Auth AuthDisable AuthDisableRequest AuthDisableResponse /v3/auth/disable
etcdserverpb.Auth AuthStatus AuthStatusRequest AuthStatusResponse /v3/auth/status
etcdserverpb.Auth Authenticate AuthenticateRequest AuthenticateResponse /v3/auth/authenticate
etcdserverpb.Auth UserAdd AuthUserAddRequest AuthUserAddResponse /v3/auth/user/add
etcdserverpb.Auth UserGet AuthUserGetRequest AuthUserGetResponse /v3/auth/user/get
etcdserverpb.Auth UserList AuthUserListRequest AuthUserListResponse /v3/auth/user/list
etcdserverpb.Auth UserDelete AuthUserDeleteRequest AuthUserDeleteResponse /v3/auth/user/delete
etcdserverpb.Auth UserChangePassword AuthUserChangePasswordRequest AuthUserChangePasswordResponse /v3/auth/user/changepw
etcdserverpb.Auth UserGrantRole AuthUserGrantRoleRequest AuthUserGrantRoleResponse /v3/auth/user/grant
etcdserverpb.Auth UserRevokeRole AuthUserRevokeRoleRequest AuthUserRevokeRoleResponse /v3/auth/user/revoke
etcdserverpb.Auth RoleAdd AuthRoleAddRequest AuthRoleAddResponse /v3/auth/role/add
etcdserverpb.Auth RoleGet AuthRoleGetRequest AuthRoleGetResponse /v3/auth/role/get
etcdserverpb.Auth RoleList AuthRoleListRequest AuthRoleListResponse /v3/auth/role/list
etcdserverpb.Auth RoleDelete AuthRoleDeleteRequest AuthRoleDeleteResponse /v3/auth/role/delete
etcdserverpb.Auth RoleGrantPermission AuthRoleGrantPermissionRequest AuthRoleGrantPermissionResponse /v3/auth/role/grant
etcdserverpb.Auth RoleRevokePermission AuthRoleRevokePermissionRequest AuthRoleRevokePermissionResponse /v3/auth/role/revoke
v3lockpb.Lock Lock LockRequest LockResponse /v3/lock/lock
v3lockpb.Lock Unlock UnlockRequest UnlockResponse /v3/lock/unlock
v3electionpb.Election Campaign CampaignRequest CampaignResponse /v3/election/campaign
v3electionpb.Election Proclaim ProclaimRequest ProclaimResponse /v3/election/proclaim
v3electionpb.Election Leader LeaderRequest LeaderResponse /v3/election/leader
v3electionpb.Election Observe LeaderRequest *LeaderResponse /v3/election/observe
v3electionpb.Election Resign ResignRequest ResignResponse /v3/election/resign
"""
