"""The safety of Raft, checked after every step of every member: an Observer of a cluster that raises at the first broken rule.

The eight invariants of etcd's TLA+ specification (raft ``tla/etcdraft.tla``), and those of Raft's contract with its host:

- S1 LogInv: what two members have committed never conflicts
- S2 MoreThanOneLeaderInv: at most one leader in a term, ever
- S3 ElectionSafetyInv: a leader has the greatest index of its term
- S4 LogMatchingInv: index and term of an entry determine everything before it
- S5 QuorumLogInv: every quorum has a member that holds what is committed
- S6 MoreUpToDateCorrectInv: whose log is as up to date as another's has all that the other has committed
- S7 LeaderCompletenessInv: a leader has what was committed in earlier terms
- S8 CommittedIsDurableInv: what a leader commits is durable on a quorum (the specification says: on the leader, which is stronger
  than etcd, whose leader sends while it writes and may count a quorum without itself)
- S9 what a message promises is durable before it leaves: terms, votes, entries; one vote in a term; a restart forgets none of it
- S12 a leader commits by counting entries of its own term only
- S13 windows stay within their limits, learners do not lead

The checks are incremental: log matching, for example, needs only that no (index, term) is ever seen with another predecessor or
content, which is one look-up per new entry. ``tests/etcd/cluster`` holds them to the plain definitions over whole logs.
"""

from typing import Any

from kubesim.etcd.member import Member
from kubesim.etcd.raft import quorum
from kubesim.etcd.raft.core import CANDIDATE, FOLLOWER, LEADER, Raft
from kubesim.etcd.raft.log import Compacted, MemoryStorage, RaftLog, Unavailable
from kubesim.etcd.raft.messages import APPEND, APPEND_RESPONSE, PRE_VOTE, PRE_VOTE_RESPONSE, VOTE, VOTE_RESPONSE, Entry, Message


class Broken(AssertionError):
    """A rule does not hold. ``rule`` is its name (S1, K1, ...)."""

    def __init__(self, rule: str, text: str) -> None:
        super().__init__(f"{rule}: {text}")
        self.rule = rule


def require(condition: object, rule: str, text: str) -> None:
    """Raise Broken unless the condition holds."""
    if not condition:
        raise Broken(rule, text)


def holds(log: RaftLog | MemoryStorage, index: int, term: int) -> bool:
    """Whether a log has this entry, or a snapshot that covers it."""
    try:
        return log.term(index) == term
    except Compacted:
        return True
    except Unavailable:
        return False


def _is_behind(raft: Raft) -> bool:
    """Whether a member's configuration may be older than what it knows to be committed."""
    try:
        return raft.has_unapplied_change()
    except Compacted:
        return True  # a snapshot is on its way into its state


class _Seen:
    """What was seen of one member at its last step."""

    __slots__ = ("commit", "epoch", "halves", "last", "role", "term")

    def __init__(self, epoch: int, commit: int) -> None:
        self.epoch = epoch
        self.commit = commit
        self.term = 0
        self.role = FOLLOWER
        self.last = (0, 0)
        self.halves: quorum.Voters = ((), ())


class RaftRules:
    """The rules, and what was ever seen: every entry, every commit, every leader and every vote."""

    def __init__(self) -> None:
        self.members: dict[int, Member] = {}
        self.entries: dict[tuple[int, int], tuple[int, Any]] = {}  # (index, term) -> (the term before, type and data)
        self.committed: list[tuple[int, int]] = []  # [index - 1]: (term of the entry, term in which it was seen to be committed)
        self.leaders: dict[int, int] = {}
        self.votes: dict[tuple[int, int], int] = {}
        self.last_of_term: dict[int, int] = {}
        self.promised_terms: dict[int, int] = {}  # member -> the newest term that it has spoken in
        self.appended: dict[tuple[int, int], int] = {}  # (term of the leader, index) -> the term of the entry that it has sent
        self.step_count = 0
        self._seen: dict[int, _Seen] = {}

    # -- what members do

    def started(self, member: Member) -> None:
        """Note a start: volatile state is gone, and what is committed must have survived."""
        self.members[member.member_id] = member
        log = member.node.raft.log
        self._seen[member.member_id] = _Seen(member.epoch, log.committed)
        self._check_promises(member)
        if not self.committed:
            self.committed = [(log.term(index), log.term(index)) for index in range(1, log.committed + 1)]  # the first configuration
        self._check_entries(member)
        for other in self.members.values():
            if other.is_running:
                self._check_quorum_log(other)
                self._check_more_up_to_date(other, member)

    def sending(self, member: Member, message: Message) -> None:
        """Check that what a message promises is durable (S9)."""
        if message.type in (PRE_VOTE, PRE_VOTE_RESPONSE):
            return
        name = member.name
        storage = member.disk.storage
        durable = storage.hard_state
        require(durable.term >= message.term, "S9", f"{name} sends {message.type} of term {message.term}, durable is {durable.term}")
        self.promised_terms[member.member_id] = max(message.term, self.promised_terms.get(member.member_id, 0))
        if message.type == APPEND:
            for entry in message.entries:
                self.appended[message.term, entry.index] = entry.term
        if message.type == APPEND_RESPONSE and not message.reject and message.index:
            self._check_acknowledged(member, message)
        if message.type == VOTE or (message.type == VOTE_RESPONSE and not message.reject):
            candidate = member.member_id if message.type == VOTE else message.to
            self._note_vote(member, message.term, candidate)
            is_durable = durable.term > message.term or durable.vote == candidate
            require(is_durable, "S9", f"{name} votes for {candidate:x} in term {message.term}, durable is {durable}")

    def applied(self, member: Member, entry: Entry, answer: Any, error: Exception | None) -> None:
        """Check that it is committed, and the same everywhere: a step may commit, apply and compact at once."""
        require(entry.index <= member.node.raft.log.committed, "S1", f"{member.name} applies {entry.index} before it is committed")
        self._note_committed(member, entry.index, entry.term)

    def expiring(self, member: Member, lease_id: int) -> None:
        """Nothing to check."""

    def renewed(self, member: Member, lease_id: int, ttl_seconds: int) -> None:
        """Nothing to check."""

    def stepped(self, member: Member) -> None:
        """Check everything that this step can have broken."""
        self.step_count += 1
        seen = self._seen[member.member_id]
        if not member.is_running or member.epoch != seen.epoch:
            return
        raft = member.node.raft
        log = raft.log
        last = (log.last_index, log.unstable_offset)
        changed = last != seen.last
        if changed or log.unstable_entries:
            seen.last = last
            self._check_entries(member)
        if raft.role != seen.role or raft.term != seen.term:
            require(raft.term >= seen.term, "S9", f"{member.name} goes back from term {seen.term} to {raft.term}")
            seen.role, seen.term = raft.role, raft.term
            self._check_role(member)
        if log.committed != seen.commit:
            require(log.committed > seen.commit, "S9", f"{member.name} takes its commit back from {seen.commit} to {log.committed}")
            self._check_commit(member, seen)
            seen.commit = log.committed
            changed = True
        if changed:
            for other in self.members.values():
                if other is not member:
                    self._check_more_up_to_date(member, other)
                    self._check_more_up_to_date(other, member)
        if raft.role == LEADER:
            seen.halves = self._halves(member)
            self._check_windows(member)

    # -- rules

    def _check_acknowledged(self, member: Member, message: Message) -> None:
        """S9 for entries. An acknowledgement that waited for the disk until a later leader had replaced its entry is void, not false:

        that leader was chosen by a quorum that never had the entry, and which answers the older term no more.
        """
        index, log, storage = message.index, member.node.raft.log, member.disk.storage
        term = self.appended.get((message.term, index))
        is_in_log = log.last_index >= index if term is None else holds(log, index, term)
        if message.term < member.node.raft.term and not is_in_log:
            return
        text = f"{member.name} acknowledges entry {index} of term {term}, durable is {storage.last_index}"
        require(storage.last_index >= index, "S9", text)
        require(term is None or holds(storage, index, term), "S9", f"{text}, and another in its place")

    def _check_promises(self, member: Member) -> None:
        """S9 over a restart."""
        state = member.disk.storage.hard_state
        promised = self.promised_terms.get(member.member_id, 0)
        require(state.term >= promised, "S9", f"{member.name} starts in term {state.term}, and has spoken in {promised}")
        vote = self.votes.get((member.member_id, state.term))
        text = f"{member.name} starts in term {state.term} with the vote {state.vote:x}, and has voted for {vote or 0:x}"
        require(vote in (None, state.vote), "S9", text)

    def _check_entries(self, member: Member) -> None:
        """S4, and S3 for the entries of the leader's term."""
        log = member.node.raft.log
        unstable = log.unstable_entries
        if not unstable:
            return
        entries = self.entries
        try:
            before = log.term(unstable[0].index - 1)
        except Compacted:
            before = -1
        for entry in unstable:
            known = entries.get((entry.index, entry.term))
            if known is None:
                entries[entry.index, entry.term] = (before, (entry.type, entry.data))
                if entry.index > self.last_of_term.get(entry.term, 0):
                    self.last_of_term[entry.term] = entry.index
            elif before != -1:
                require(
                    known == (before, (entry.type, entry.data)),
                    "S4",
                    f"{member.name} has entry {entry.index} of term {entry.term} after term {before}, which was seen elsewhere as {known}",
                )
            before = entry.term

    def _check_role(self, member: Member) -> None:
        raft = member.node.raft
        if raft.role in (LEADER, CANDIDATE):
            require(not raft.learner, "S13", f"{member.name} is a learner and a {raft.role}")
        if raft.role != LEADER:
            return
        self._note_vote(member, raft.term, raft.vote)  # a candidate's own vote counts from when it leaves: see ``sending``
        leader = self.leaders.setdefault(raft.term, member.member_id)
        require(leader == member.member_id, "S2", f"{leader:x} and {member.name} lead term {raft.term}")
        own_last = raft.log.last_index if raft.log.last_term == raft.term else 0
        require(own_last >= self.last_of_term.get(raft.term, 0), "S3", f"{member.name} leads term {raft.term} and lacks entries of it")
        earlier = next((index for index in range(len(self.committed), 0, -1) if self.committed[index - 1][1] < raft.term), 0)
        if earlier:
            term = self.committed[earlier - 1][0]
            require(holds(raft.log, earlier, term), "S7", f"{member.name} leads term {raft.term} without the committed {earlier} ({term})")

    def _note_vote(self, member: Member, term: int, candidate: int) -> None:
        vote = self.votes.setdefault((member.member_id, term), candidate)
        require(vote == candidate, "S9", f"{member.name} votes for {vote:x} and for {candidate:x} in term {term}")

    def _check_commit(self, member: Member, seen: _Seen) -> None:
        """S1, S12, S8, S5 and S7 for what this member has learnt to be committed."""
        raft = member.node.raft
        log = raft.log
        committed = self.committed
        first = max(seen.commit + 1, log.first_index - 1, 1)
        for index in range(first, log.committed + 1):
            try:
                term = log.term(index)
            except Compacted:
                continue
            self._note_committed(member, index, term)
        if raft.role == LEADER:
            last_term = log.term(log.committed)
            require(last_term == raft.term, "S12", f"{member.name} commits {log.committed} of term {last_term} as leader of {raft.term}")
            self._check_durable(member, seen.halves)
        self._check_quorum_log(member)
        for other in self.members.values():
            if other.is_running and other.node.raft.role == LEADER and other.node.raft.term > raft.term:
                term = committed[log.committed - 1][0]
                text = f"{other.name} leads term {other.node.raft.term} without {log.committed}, committed in {raft.term}"
                require(holds(other.node.raft.log, log.committed, term), "S7", text)

    def _note_committed(self, member: Member, index: int, term: int) -> None:
        """S1."""
        committed = self.committed
        if index <= len(committed):
            known = committed[index - 1][0]
            require(known == term, "S1", f"{member.name} commits entry {index} of term {term}, which was committed with term {known}")
        else:
            require(index == len(committed) + 1, "S1", f"{member.name} commits {index}, and nobody has committed {len(committed) + 1}")
            committed.append((term, member.node.raft.term))

    def _halves(self, member: Member) -> quorum.Voters:
        config = member.node.raft.tracker.config
        return config.incoming, config.outgoing

    def _check_durable(self, member: Member, before: quorum.Voters) -> None:
        """S8, by the configuration before this step or after it: it may have committed a change and applied it at once."""
        index = member.node.raft.log.committed
        term = self.committed[index - 1][0]
        durable = {other: holds(disk, index, term) for other, disk in self._disks()}
        results = [quorum.vote_result(halves, durable) for halves in (before, self._halves(member))]
        text = f"{member.name} commits {index}, which is durable on {sum(durable.values())} of {len(durable)} only"
        require(quorum.WON in results, "S8", text)

    def _disks(self) -> list[tuple[int, MemoryStorage]]:
        return [(member_id, member.disk.storage) for member_id, member in self.members.items()]

    def _check_quorum_log(self, member: Member) -> None:
        """S5: those who do not hold it are no quorum."""
        index = member.node.raft.log.committed
        raft = member.node.raft
        if not 0 < index <= len(self.committed) or not raft.tracker.config.incoming or _is_behind(raft):
            return  # its configuration is not yet the one that has committed this
        term = self.committed[index - 1][0]
        missing = {other: True for other, known in self.members.items() if not holds(self._log_of(known), index, term)}
        if not missing:
            return
        having = {other: False for other in self.members if other not in missing}
        result = quorum.vote_result(self._halves(member), missing | having)
        require(result != quorum.WON, "S5", f"a quorum of {member.name}'s configuration lacks the committed entry {index} ({term})")

    @staticmethod
    def _log_of(member: Member) -> RaftLog | MemoryStorage:
        return member.node.raft.log if member.is_running else member.disk.storage

    def _check_more_up_to_date(self, member: Member, other: Member) -> None:
        """S6."""
        if not other.is_running:
            return
        committed = min(other.node.raft.log.committed, len(self.committed))
        log, theirs = self._log_of(member), self._log_of(other)
        mine = (log.term(log.last_index), log.last_index)
        if committed and mine >= (theirs.term(theirs.last_index), theirs.last_index):
            term = self.committed[committed - 1][0]
            text = f"{member.name} is as up to date as {other.name} and lacks its committed entry {committed} ({term})"
            require(holds(log, committed, term), "S6", text)

    def _check_windows(self, member: Member) -> None:
        for target, progress in member.node.raft.tracker.progress.items():
            inflight_max = member.settings.inflight_max
            require(progress.inflights.count <= inflight_max, "S13", f"{progress.inflights.count} appends to {target:x} are on the way")
            require(0 <= progress.match < progress.next, "S13", f"{target:x} matches {progress.match}, next is {progress.next}")

    # -- the definitions over whole logs: what the checks above stand for

    def check_plainly(self) -> None:
        """Check S1 to S7 by their definitions, over all that is in the logs now. O(members² · entries)."""
        running = [member for member in self.members.values() if member.is_running]
        logs = {member.member_id: whole_log(member) for member in running}
        for member in running:
            own = logs[member.member_id]
            commit = member.node.raft.log.committed
            raft = member.node.raft
            for other in running:
                theirs = logs[other.member_id]
                both = sorted(own.keys() & theirs.keys())
                matching = [index for index in both if own[index][0] == theirs[index][0]]
                if matching:
                    text = f"the logs of {member.name} and {other.name} differ before {matching[-1]}"
                    require(all(own[index] == theirs[index] for index in both if index <= matching[-1]), "S4", text)
                shared = min(commit, other.node.raft.log.committed)
                text = f"{member.name} and {other.name} differ in what is committed"
                require(all(own[index] == theirs[index] for index in both if index <= shared), "S1", text)
                if other is not member and raft.role == LEADER == other.node.raft.role:
                    require(raft.term != other.node.raft.term, "S2", f"{member.name} and {other.name} lead term {raft.term}")
                if raft.role == LEADER:
                    mine = raft.log.last_index if raft.log.last_term == raft.term else 0
                    most = max((index for index, entry in theirs.items() if entry[0] == raft.term), default=0)
                    require(mine >= most, "S3", f"{other.name} has a later entry of {member.name}'s term {raft.term}")


def whole_log(member: Member) -> dict[int, tuple[int, str, Any]]:
    """Return index -> (term, type, data) of all entries that a running member has."""
    log = member.node.raft.log
    first = max(log.first_index, member.disk.storage.first_index)
    return {entry.index: (entry.term, entry.type, entry.data) for entry in log.slice(first, log.last_index + 1)}
