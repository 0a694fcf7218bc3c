"""Configurations and how they change: simple (one voter at a time) or through a joint configuration.

``Tracker`` is a configuration with the progress of its members and the votes of a campaign. The three changes ``simple``,
``enter_joint`` and ``leave_joint`` return a new (Config, progress) and leave the old one alone; an impossible one raises
ValueError with the name of the rule. Upstream: raft/tracker, raft/confchange.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from kubesim.etcd.raft import quorum
from kubesim.etcd.raft.messages import ConfState
from kubesim.etcd.raft.progress import Inflights, Progress


class Config(NamedTuple):
    """Who votes and who learns. ``outgoing`` is empty unless the configuration is joint."""

    incoming: frozenset[int] = frozenset()
    outgoing: frozenset[int] = frozenset()
    learners: frozenset[int] = frozenset()
    learners_next: frozenset[int] = frozenset()  # voters of the outgoing half that will be learners
    auto_leave: bool = False

    @property
    def joint(self) -> bool:
        """Whether two majorities are needed."""
        return bool(self.outgoing)

    def voter_ids(self) -> list[int]:
        """All voters of both halves, sorted."""
        return sorted(self.incoming | self.outgoing)

    def conf_state(self) -> ConfState:
        """The form stored in a snapshot."""
        return ConfState(
            tuple(sorted(self.incoming)),
            tuple(sorted(self.outgoing)),
            tuple(sorted(self.learners)),
            tuple(sorted(self.learners_next)),
            self.auto_leave,
        )


ProgressMap = dict[int, Progress]


class Tracker:
    """The configuration, the progress of each member (sorted by id) and the votes of the campaign that runs."""

    __slots__ = ("config", "inflight_bytes_max", "inflight_max", "progress", "votes")

    def __init__(self, inflight_max: int, inflight_bytes_max: int = 0) -> None:
        self.inflight_max = inflight_max
        self.inflight_bytes_max = inflight_bytes_max
        self.config = Config()
        self.progress: ProgressMap = {}
        self.votes: dict[int, bool] = {}

    def inflights(self) -> Inflights:
        """A fresh window."""
        return Inflights(self.inflight_max, self.inflight_bytes_max)

    def members(self) -> list[tuple[int, Progress]]:
        """(id, progress) of every member, sorted by id."""
        return sorted(self.progress.items())

    def committed(self) -> int:
        """The largest index that a quorum has."""
        acked = {member: progress.match for member, progress in self.progress.items()}
        return quorum.committed_index((self.config.incoming, self.config.outgoing), acked)

    def quorum_active(self) -> bool:
        """Whether a quorum of the voters answered since the last check."""
        votes = {member: progress.recently_active for member, progress in self.progress.items() if not progress.learner}
        return quorum.vote_result((self.config.incoming, self.config.outgoing), votes) == quorum.WON

    def quorum_of(self, members: Iterable[int]) -> bool:
        """Whether ``members`` are a quorum."""
        return quorum.vote_result((self.config.incoming, self.config.outgoing), dict.fromkeys(members, True)) == quorum.WON

    def record_vote(self, member: int, granted: bool) -> str:
        """Record the first answer of ``member`` and return the result so far."""
        self.votes.setdefault(member, granted)
        return quorum.vote_result((self.config.incoming, self.config.outgoing), self.votes)

    def is_singleton(self) -> bool:
        """Whether one voter alone decides."""
        return len(self.config.incoming) == 1 and not self.config.outgoing


class _Draft:
    """A configuration being changed, on copies."""

    def __init__(self, tracker: Tracker, last_index: int) -> None:
        config = tracker.config
        self.tracker = tracker
        self.last_index = last_index
        self.incoming, self.outgoing = set(config.incoming), set(config.outgoing)
        self.learners, self.learners_next = set(config.learners), set(config.learners_next)
        self.progress = {member: progress.copy() for member, progress in tracker.progress.items()}

    def apply(self, changes: Iterable[tuple[str, int]]) -> None:
        for op, member in changes:
            if not member:
                continue  # upstream's way to void a change
            if op == "voter":
                self._make_voter(member)
            elif op == "learner":
                self._make_learner(member)
            elif op == "remove":
                self._remove(member)
            elif op != "update":
                raise ValueError(f"unknown change {op!r}, expected voter, learner, remove or update")
        if not self.incoming:
            raise ValueError("removed_all_voters")

    def _make_voter(self, member: int) -> None:
        progress = self.progress.get(member)
        if progress is None:
            self._add(member, learner=False)
            return
        progress.learner = False
        self.learners.discard(member)
        self.learners_next.discard(member)
        self.incoming.add(member)

    def _make_learner(self, member: int) -> None:
        progress = self.progress.get(member)
        if progress is None:
            self._add(member, learner=True)
            return
        if progress.learner:
            return
        self._remove(member)
        self.progress[member] = progress
        if member in self.outgoing:  # still needed by the outgoing majority: a learner only after that is left
            self.learners_next.add(member)
        else:
            progress.learner = True
            self.learners.add(member)

    def _remove(self, member: int) -> None:
        if member not in self.progress:
            return
        self.incoming.discard(member)
        self.learners.discard(member)
        self.learners_next.discard(member)
        if member not in self.outgoing:
            del self.progress[member]

    def _add(self, member: int, learner: bool) -> None:
        (self.learners if learner else self.incoming).add(member)
        # Recently active, so that check-quorum gives a new member the time to answer.
        self.progress[member] = Progress(0, max(self.last_index, 1), self.tracker.inflights(), learner, recently_active=True)

    def finish(self, auto_leave: bool = False) -> tuple[Config, ProgressMap]:
        config = Config(
            frozenset(self.incoming), frozenset(self.outgoing), frozenset(self.learners), frozenset(self.learners_next), auto_leave
        )
        check_config(config, self.progress)
        return config, dict(sorted(self.progress.items()))


def check_config(config: Config, progress: Mapping[int, Progress]) -> None:
    """Assert the invariants of a configuration."""
    voters = config.incoming | config.outgoing
    assert all(member in progress for member in sorted(voters | config.learners | config.learners_next)), "a member has no progress"
    assert config.learners_next <= config.outgoing, "a learner-to-be is not in the outgoing half"
    assert not config.learners & voters, "a learner is also a voter"
    assert all(progress[member].learner for member in sorted(config.learners)), "a learner's progress says voter"
    if not config.joint:
        assert not config.learners_next and not config.auto_leave, "left-overs of a joint configuration"


def simple(tracker: Tracker, last_index: int, changes: Iterable[tuple[str, int]]) -> tuple[Config, ProgressMap]:
    """Change at most one voter. Raises ValueError: simple_in_joint, removed_all_voters, too_many_changes."""
    if tracker.config.joint:
        raise ValueError("simple_in_joint")
    draft = _Draft(tracker, last_index)
    draft.apply(changes)
    if len(draft.incoming ^ tracker.config.incoming) > 1:
        raise ValueError("too_many_changes")
    return draft.finish()


def enter_joint(tracker: Tracker, last_index: int, auto_leave: bool, changes: Iterable[tuple[str, int]]) -> tuple[Config, ProgressMap]:
    """Make the voters the outgoing half and change the incoming one. Raises ValueError: already_joint, no_voters, removed_all_voters."""
    if tracker.config.joint:
        raise ValueError("already_joint")
    if not tracker.config.incoming:
        raise ValueError("no_voters")
    draft = _Draft(tracker, last_index)
    draft.outgoing = set(draft.incoming)
    draft.apply(changes)
    return draft.finish(auto_leave)


def leave_joint(tracker: Tracker, last_index: int) -> tuple[Config, ProgressMap]:
    """Drop the outgoing half; who waited to be a learner becomes one. Raises ValueError: not_joint."""
    if not tracker.config.joint:
        raise ValueError("not_joint")
    draft = _Draft(tracker, last_index)
    for member in sorted(draft.learners_next):
        draft.learners.add(member)
        draft.progress[member].learner = True
    draft.learners_next.clear()
    for member in sorted(draft.outgoing):
        if member not in draft.incoming and member not in draft.learners:
            del draft.progress[member]
    draft.outgoing.clear()
    return draft.finish()


def restore(tracker: Tracker, last_index: int, state: ConfState) -> tuple[Config, ProgressMap]:
    """Build the configuration of a snapshot, by the same changes that made it."""
    current = Tracker(tracker.inflight_max, tracker.inflight_bytes_max)
    incoming = [("voter", member) for member in state.voters]
    incoming += [("learner", member) for member in state.learners]
    incoming += [("learner", member) for member in state.learners_next]
    if not state.voters_outgoing:
        for change in incoming:
            current.config, current.progress = simple(current, last_index, [change])
        return current.config, current.progress
    for member in state.voters_outgoing:
        current.config, current.progress = simple(current, last_index, [("voter", member)])
    removed = [("remove", member) for member in state.voters_outgoing]
    return enter_joint(current, last_index, state.auto_leave, removed + incoming)
