"""The Cluster service: who the members are, and changes of that.

A member's host is its peer addresses, joined by commas. Upstream: etcd ``server/etcdserver/api/v3rpc/member.go``, ``server.go``.
"""

from collections.abc import Iterable

from kubesim.etcd.api.context import Call, Context
from kubesim.etcd.api.urls import sorted_urls
from kubesim.etcd.membership import MemberInfo
from kubesim.etcd.wire.codec import Fields


def member_message(info: MemberInfo) -> Fields:
    """Return a member as a message."""
    return {
        "ID": info.member_id,
        "name": info.name,
        "peerURLs": info.host.split(","),
        "clientURLs": list(info.client_urls),
        "isLearner": info.is_learner,
    }


def member_messages(members: Iterable[MemberInfo]) -> list[Fields]:
    """Return members by ID."""
    return [member_message(info) for info in sorted(members, key=lambda info: info.member_id)]


def _answer(context: Context, **fields: object) -> Fields:
    return {"header": context.identity(), **fields, "members": member_messages(context.member.members.by_id.values())}


async def add(context: Context, call: Call, message: Fields) -> Fields:
    """Add a member, as a learner or as a voter."""
    urls = sorted_urls(message.get("peerURLs", []))
    context.require_admin(call)
    before = set(context.member.members.by_id)
    host = ",".join(urls)
    await context.ask(("member_add", host, message.get("isLearner", False)))
    added = [info for info in context.member.members.by_id.values() if info.host == host and info.member_id not in before]
    return _answer(context, member=member_message(added[0]) if added else {})


async def remove(context: Context, call: Call, message: Fields) -> Fields:
    """Remove a member."""
    context.require_admin(call)
    await context.ask(("member_remove", message.get("ID", 0)))
    return _answer(context)


async def update(context: Context, call: Call, message: Fields) -> Fields:
    """Change the peer addresses of a member."""
    urls = sorted_urls(message.get("peerURLs", []))
    context.require_admin(call)
    await context.ask(("member_update", message.get("ID", 0), ",".join(urls)))
    return _answer(context)


async def list_(context: Context, call: Call, message: Fields) -> Fields:
    """List the members."""
    if message.get("linearizable"):
        await context.read_barrier()
    context.require_user(call)
    return _answer(context)


async def promote(context: Context, call: Call, message: Fields) -> Fields:
    """Make a learner a voter; only the leader knows whether it has caught up. The members are those that the leader knows then."""
    context.require_admin(call)
    members = await context.forward.ask(("member_promote", message.get("ID", 0)))
    return {"header": context.identity(), "members": member_messages(members)}
