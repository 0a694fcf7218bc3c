"""Who is in the cluster: names, addresses, and which changes are refused.

The configuration that votes is Raft's; this is what etcd knows of its members beside it, replicated with the same entries.
Upstream: etcd ``server/etcdserver/api/membership/cluster.go``. Differs: an address is the name of a host of the kernel's network, and a
new member is not refused because others have been connected for less than 5 s.
"""

from collections.abc import Iterable
from hashlib import sha1
from typing import Any, NamedTuple

from kubesim.etcd.unavailable import (
    MemberExists,
    MemberNotFound,
    NotEnoughStarted,
    NotLearner,
    PeerExists,
    TooManyLearners,
)

LEARNER_COUNT_MAX = 1


class MemberInfo(NamedTuple):
    """One member. ``name`` and ``client_urls`` are empty until it has started for the first time."""

    member_id: int
    host: str
    name: str = ""
    is_learner: bool = False
    client_urls: tuple[str, ...] = ()


def member_id_of(host: str, token: str, time_ns: int | None = None) -> int:
    """Return the ID of a member: the first eight bytes of SHA-1 over address, cluster token and, once the cluster runs, the second."""
    text = host + token + ("" if time_ns is None else str(time_ns // 1_000_000_000))
    return int.from_bytes(sha1(text.encode(), usedforsecurity=False).digest()[:8], "big")


def cluster_id_of(member_ids: list[int]) -> int:
    """Return the ID of a cluster: the first eight bytes of SHA-1 over its first members' IDs."""
    data = b"".join(member_id.to_bytes(8, "big") for member_id in sorted(member_ids))
    return int.from_bytes(sha1(data, usedforsecurity=False).digest()[:8], "big")


class Members:
    """The members, by ID, and the IDs that were removed and never come back."""

    def __init__(self, members: Iterable[MemberInfo] = (), removed: Iterable[int] = ()) -> None:
        self.by_id = {member.member_id: member for member in sorted(members)}
        self.removed = dict.fromkeys(removed)

    def dump(self) -> tuple[tuple[MemberInfo, ...], tuple[int, ...]]:
        """Return what a snapshot holds of it."""
        return tuple(self.by_id[member_id] for member_id in sorted(self.by_id)), tuple(self.removed)

    def host_of(self, member_id: int) -> str | None:
        """Return the address of a member, None for one that is not (or no longer) there."""
        member = self.by_id.get(member_id)
        return None if member is None else member.host

    # -- what a request may ask for

    def check_add(self, member: MemberInfo) -> None:
        """Refuse an addition. Raises MemberExists, PeerExists, TooManyLearners, NotEnoughStarted, MemberNotFound (a removed ID)."""
        if member.member_id in self.removed:
            raise MemberNotFound
        if member.member_id in self.by_id:
            raise MemberExists
        if any(other.host == member.host for other in self.by_id.values()):
            raise PeerExists
        if member.is_learner:
            if sum(other.is_learner for other in self.by_id.values()) >= LEARNER_COUNT_MAX:
                raise TooManyLearners
        else:
            self._check_started(extra_count=1)

    def check_remove(self, member_id: int) -> None:
        """Refuse a removal. Raises MemberNotFound, NotEnoughStarted."""
        member = self.by_id.get(member_id)
        if member is None:
            raise MemberNotFound
        if not member.is_learner:
            self._check_started(without=member_id)

    def check_promote(self, member_id: int) -> None:
        """Refuse a promotion. Raises MemberNotFound, NotLearner, NotEnoughStarted."""
        member = self.by_id.get(member_id)
        if member is None:
            raise MemberNotFound
        if not member.is_learner:
            raise NotLearner
        self._check_started(extra_count=1)

    def check_update(self, member_id: int, host: str) -> None:
        """Refuse another address. Raises MemberNotFound, PeerExists."""
        if member_id not in self.by_id:
            raise MemberNotFound
        if any(other.host == host and other.member_id != member_id for other in self.by_id.values()):
            raise PeerExists

    def _check_started(self, extra_count: int = 0, without: int = 0) -> None:
        """Refuse what leaves a cluster whose started voters are no majority of it."""
        voters = [member for member in self.by_id.values() if not member.is_learner and member.member_id != without]
        started_count = sum(1 for member in voters if member.name)
        if started_count == 1 and extra_count and len(voters) == 1:
            return  # the second member of a cluster of one: nothing else is possible
        if started_count < (len(voters) + extra_count) // 2 + 1:
            raise NotEnoughStarted

    def check_still(self, request: tuple[Any, ...]) -> None:
        """Refuse what has become impossible between the request and its turn in the log. Raises what the checks above do."""
        kind, argument = request[:2]
        if kind == "member_add":
            if argument.member_id in self.removed:
                raise MemberNotFound
            if argument.member_id not in self.by_id and any(other.host == argument.host for other in self.by_id.values()):
                raise PeerExists
            return
        member = self.by_id.get(argument)
        if member is None:
            raise MemberNotFound
        if kind == "member_update":
            self.check_update(argument, request[2])
        if kind == "member_promote" and not member.is_learner:
            raise NotLearner

    # -- what was decided

    def change(self, request: tuple[Any, ...]) -> None:
        """Do what a request asks for; who is removed never comes back."""
        kind, argument = request[:2]
        if kind == "member_add":
            self.by_id[argument.member_id] = argument
        elif kind == "member_promote":
            self.by_id[argument] = self.by_id[argument]._replace(is_learner=False)
        elif kind == "member_update":
            self.by_id[argument] = self.by_id[argument]._replace(host=request[2])
        else:
            del self.by_id[argument]
            self.removed[argument] = None

    def publish(self, member_id: int, name: str, client_urls: tuple[str, ...] = ()) -> None:
        """Note that a member has started under this name, and where it serves clients."""
        member = self.by_id.get(member_id)
        if member is not None:
            self.by_id[member_id] = member._replace(name=name, client_urls=client_urls)
