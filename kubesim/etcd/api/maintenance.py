"""The Maintenance service, but for the snapshot, which is a stream. Upstream: etcd ``server/etcdserver/api/v3rpc/maintenance.go``."""

import re

from kubesim.etcd.api.context import CLUSTER_VERSION, VERSION, Call, Context
from kubesim.etcd.errors import EtcdError
from kubesim.etcd.raft.messages import NONE
from kubesim.etcd.wire.codec import Fields

DOWNGRADE_VERSION = "3.5"
_VERSION = re.compile(r"(\d+)\.(\d+)(?:\.\d+(?:-[0-9A-Za-z.-]+)?)?")


class BadVersionFormat(EtcdError):
    """The version to downgrade to is none."""

    message = "etcdserver: wrong downgrade target version format"


class BadDowngradeVersion(EtcdError):
    """The version to downgrade to is not the one before."""

    message = "etcdserver: invalid downgrade target version"


class DowngradeUnsupported(EtcdError):
    """kubesim has one version of its log."""

    code = 9
    message = "kubesim: a downgrade is not supported: there is no older format of the data"


async def alarm(context: Context, call: Call, message: Fields) -> Fields:
    """Show, raise or end alarms."""
    if message.get("action", "GET") == "GET":
        context.require_user(call)
    else:
        context.require_admin(call)
    return context.headed(await context.propose(call, "alarm", message))


async def status(context: Context, call: Call, message: Fields) -> Fields:
    """Tell how this member is."""
    context.require_user(call)
    member, state = context.member, context.state
    raft = member.node.raft
    errors = ["etcdserver: no leader"] if raft.lead == NONE else []
    errors += [f"memberID:{number} alarm:{kind} " for kind, number in state.alarms.listed()]
    return {
        "header": context.headed({})["header"],
        "version": VERSION,
        "dbSize": state.backend.file_bytes,
        "leader": raft.lead,
        "raftIndex": raft.log.committed,
        "raftTerm": raft.term,
        "raftAppliedIndex": member.applied_index,
        "errors": errors,
        "dbSizeInUse": state.backend.used_bytes,
        "isLearner": raft.learner,
        "storageVersion": context.storage_version,
        "dbSizeQuota": context.settings.quota_bytes or -1,
        "downgradeInfo": {},
    }


async def defragment(context: Context, call: Call, message: Fields) -> Fields:
    """Give back what is not in use."""
    context.require_admin(call)
    context.state.backend.defragment()
    return {}


async def hash_(context: Context, call: Call, message: Fields) -> Fields:
    """Hash everything."""
    context.require_admin(call)
    found = context.state.hashes.at(context.state.store)
    return context.headed({"hash": found.hash})


async def hash_kv(context: Context, call: Call, message: Fields) -> Fields:
    """Hash all keys up to a revision."""
    context.require_admin(call)
    found = context.state.hashes.at(context.state.store, message.get("revision", 0))
    return context.headed({"hash": found.hash, "compact_revision": found.compact_revision, "hash_revision": found.revision})


async def move_leader(context: Context, call: Call, message: Fields) -> Fields:
    """Have another member lead."""
    context.require_admin(call)
    await context.ask(("move_leader", message.get("targetID", 0)))
    return {}


async def downgrade(context: Context, call: Call, message: Fields) -> Fields:
    """Look whether a downgrade is possible, or end one (there never is one)."""
    context.require_admin(call)
    action = message.get("action", "VALIDATE")
    if action != "CANCEL":
        found = _VERSION.fullmatch(message.get("version", ""))
        if found is None:
            raise BadVersionFormat
        await context.read_barrier()
        if f"{found[1]}.{found[2]}" != DOWNGRADE_VERSION:
            raise BadDowngradeVersion
        if action == "ENABLE":
            raise DowngradeUnsupported
    return context.headed({"version": CLUSTER_VERSION})
