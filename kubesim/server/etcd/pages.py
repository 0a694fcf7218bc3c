"""The plain pages of a member: health, readiness, version, metrics. Upstream: etcd ``server/etcdserver/api/etcdhttp``."""

from collections.abc import Callable
from urllib.parse import parse_qs

import orjson

from kubesim.etcd.api.calls import start
from kubesim.etcd.api.context import CLUSTER_VERSION, VERSION, Context
from kubesim.etcd.raft.messages import NONE

Answer = Callable[[int, bytes, str], object]
JSON, TEXT = "application/json", "text/plain; charset=utf-8"
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def version(context: Context, query: str, answer: Answer) -> None:
    """Answer with the versions of the server, the cluster and the storage."""
    body = {"etcdserver": VERSION, "etcdcluster": f"{CLUSTER_VERSION}.0", "storage": context.storage_version}
    answer(200, orjson.dumps(body), JSON)


def health(context: Context, query: str, answer: Answer) -> None:
    """Answer whether the member can serve: no alarm, a leader, a linearizable read."""
    options = parse_qs(query)
    excluded = options.get("exclude", [])

    def tell(reason: str) -> None:
        body = orjson.dumps({"health": "false" if reason else "true", "reason": reason})
        answer(503 if reason else 200, body, JSON)

    for kind, _ in context.state.alarms.listed():
        if kind not in excluded:
            tell(f"ALARM {kind}")
            return
    if options.get("serializable") == ["true"]:
        tell("")
        return
    if context.member.node.raft.lead == NONE:
        tell("RAFT NO LEADER")
        return
    if context.member.node.raft.learner:
        tell("")  # what a learner serves, it serves without a quorum
        return
    start(context.read_barrier(), lambda _, error: tell(f"QGET ERROR:{error}" if error is not None else ""))


def livez(context: Context, query: str, answer: Answer) -> None:
    """Answer that the process lives."""
    _checks(query, answer, [("serializable_read", "")])


def readyz(context: Context, query: str, answer: Answer) -> None:
    """Answer whether the member may be sent requests."""
    corrupt = any(kind == "CORRUPT" for kind, _ in context.state.alarms.listed())
    checks = [("data_corruption", "alarm activated: CORRUPT" if corrupt else ""), ("serializable_read", "")]

    def tell(error: Exception | None) -> None:
        _checks(query, answer, [*checks, ("linearizable_read", str(error) if error is not None else "")])

    if context.member.node.raft.learner or corrupt:
        _checks(query, answer, checks)
    else:
        start(context.read_barrier(), lambda _, error: tell(error))


def _checks(query: str, answer: Answer, checks: list[tuple[str, str]]) -> None:
    failed = any(reason for _, reason in checks)
    if not failed and "verbose" not in parse_qs(query, keep_blank_values=True):
        answer(200, b"ok\n", TEXT)
        return
    lines = [f"[-]{name} failed: {reason}" if reason else f"[+]{name} ok" for name, reason in checks]
    answer(503 if failed else 200, ("\n".join(lines) + ("\nnot ok\n" if failed else "\nok\n")).encode(), TEXT)


def metrics(context: Context, query: str, answer: Answer) -> None:
    """Answer with what can be measured, under etcd's names."""
    member, state = context.member, context.state
    raft, store = member.node.raft, state.store
    rows: list[tuple[str, str, str, float]] = [
        ("etcd_server_has_leader", "gauge", "Whether or not a leader exists. 1 is existence, 0 is not.", raft.lead != NONE),
        ("etcd_server_is_leader", "gauge", "Whether or not this member is a leader. 1 if is, 0 otherwise.", member.is_leader),
        ("etcd_server_is_learner", "gauge", "Whether or not this member is a learner. 1 if is, 0 otherwise.", raft.learner),
        ("etcd_server_leader_changes_seen_total", "counter", "The number of leader changes seen.", context.leader_changes),
        ("etcd_server_proposals_committed_total", "gauge", "The total number of consensus proposals committed.", raft.log.committed),
        ("etcd_server_proposals_applied_total", "gauge", "The total number of consensus proposals applied.", member.applied_index),
        ("etcd_server_quota_backend_bytes", "gauge", "Current backend storage quota size in bytes.", context.settings.quota_bytes),
        ("etcd_mvcc_db_total_size_in_bytes", "gauge", "Total size of the database in bytes.", state.backend.file_bytes),
        ("etcd_mvcc_db_total_size_in_use_in_bytes", "gauge", "Size of the database in use in bytes.", state.backend.used_bytes),
        ("etcd_debugging_mvcc_current_revision", "gauge", "The current revision of store.", store.revision),
        ("etcd_debugging_mvcc_compact_revision", "gauge", "The revision of the last compaction in store.", store.compact_revision),
        ("etcd_debugging_mvcc_keys_total", "gauge", "Total number of keys.", len(store)),
        ("etcd_debugging_auth_revision", "gauge", "The current revision of auth store.", state.auth.revision),
        ("etcd_debugging_lease_total", "gauge", "Total number of leases.", len(state.leases)),
    ]
    lines: list[str] = []
    for name, kind, description, value in rows:
        lines += (f"# HELP {name} {description}", f"# TYPE {name} {kind}", f"{name} {value + 0}")
    lines += ("# HELP etcd_server_version Which version is running.", "# TYPE etcd_server_version gauge")
    lines.append(f'etcd_server_version{{server_version="{VERSION}"}} 1')
    answer(200, ("\n".join(lines) + "\n").encode(), METRICS_TYPE)


PAGES: dict[str, Callable[[Context, str, Answer], None]] = {
    "/version": version,
    "/health": health,
    "/livez": livez,
    "/readyz": readyz,
    "/metrics": metrics,
}
