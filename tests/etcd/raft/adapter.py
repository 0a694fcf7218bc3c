"""The adapter that connects kubesim's Raft to the data-driven cases: ``check_raft.py --adapter tests/etcd/raft/adapter.py``.

It is the environment of a group of members: one network queue, per member a stable log, an application (the concatenation of all
applied data) and, with asynchronous storage writes, an append and an apply queue.
"""

import math
from typing import Any

from kubesim.etcd.raft import membership, messages, quorum
from kubesim.etcd.raft.core import Settings
from kubesim.etcd.raft.log import MemoryStorage
from kubesim.etcd.raft.membership import Config, Tracker
from kubesim.etcd.raft.messages import APPEND_THREAD, APPLY_THREAD, ConfChange, ConfState, Entry, Message, RaftError, Snapshot
from kubesim.etcd.raft.node import Node, Ready
from kubesim.etcd.raft.progress import Progress

LOCAL_NAMES = {APPEND_THREAD: "append", APPLY_THREAD: "apply"}


def committed_index(config: tuple[set[int], set[int]], acked: dict[int, int]) -> float:
    index = quorum.committed_index(config, acked)
    return math.inf if index == quorum.INFINITY else index


def vote_result(config: tuple[set[int], set[int]], votes: dict[int, bool]) -> str:
    return quorum.vote_result(config, votes)


def apply_conf_change(cmd: str, state: dict, changes: list, last_index: int, auto_leave: bool) -> dict:
    tracker = Tracker(10)
    halves = (frozenset(state[name]) for name in ("voters", "voters_outgoing", "learners", "learners_next"))
    tracker.config = Config(*halves, state["auto_leave"])
    for member, item in state["progress"].items():
        tracker.progress[member] = Progress(item["match"], item["next"], tracker.inflights(), item["learner"])
    if cmd == "simple":
        config, progress = membership.simple(tracker, last_index, changes)
    elif cmd == "enter-joint":
        config, progress = membership.enter_joint(tracker, last_index, auto_leave, changes)
    else:
        config, progress = membership.leave_joint(tracker, last_index)
    return show_conf_state(config.conf_state()) | {
        "progress": {
            member: {"state": item.state, "match": item.match, "next": item.next, "learner": item.learner}
            for member, item in progress.items()
        }
    }


def show_conf_state(state: ConfState) -> dict:
    shown = {name: list(getattr(state, name)) for name in ("voters", "voters_outgoing", "learners", "learners_next")}
    return shown | {"auto_leave": state.auto_leave}


def show_entry(entry: Entry) -> dict:
    shown: dict[str, Any] = {"term": entry.term, "index": entry.index, "type": entry.type}
    if entry.type == messages.NORMAL:
        return shown | {"data": entry.data or ""}
    return shown | {"changes": [{"op": op, "id": member} for op, member in entry.data.changes]}


def show_snapshot(snapshot: Snapshot) -> dict:
    return {"index": snapshot.index, "term": snapshot.term} | show_conf_state(snapshot.conf_state)


def show_message(message: Message) -> dict:
    shown: dict[str, Any] = {
        "from": LOCAL_NAMES.get(message.from_, message.from_),
        "to": LOCAL_NAMES.get(message.to, message.to),
        "type": message.type,
        "term": message.term,
        "log_term": message.log_term,
        "index": message.index,
    }
    if message.reject:
        shown["reject_hint"] = message.reject_hint
    for name in ("commit", "vote"):
        if getattr(message, name):
            shown[name] = getattr(message, name)
    if message.entries:
        shown["entries"] = [show_entry(entry) for entry in message.entries]
    if message.snapshot is not None:
        shown["snapshot"] = show_snapshot(message.snapshot)
    if message.responses:
        shown["responses"] = [show_message(response) for response in message.responses]
    return shown


def show_ready(node: int, ready: Ready) -> dict:
    shown: dict[str, Any] = {"node": node}
    if ready == Ready(None, None, (), None, (), (), (), False):
        return shown
    shown["must_sync"] = ready.must_sync
    if ready.soft_state is not None:
        shown["soft_state"] = {"lead": ready.soft_state.lead, "state": ready.soft_state.state}
    if ready.hard_state is not None:
        shown["hard_state"] = ready.hard_state._asdict()
    for name in ("entries", "committed"):
        if getattr(ready, name):
            shown[name] = [show_entry(entry) for entry in getattr(ready, name)]
    if ready.snapshot is not None:
        shown["snapshot"] = show_snapshot(ready.snapshot)
    if ready.messages:
        shown["messages"] = [show_message(message) for message in ready.messages]
    return shown


class FixedRandom:
    """No randomness: the scripts time elections themselves."""

    def below(self, limit: int) -> int:
        return 0


class _Storage(MemoryStorage):
    """Sends the newest applied state as snapshot."""

    def __init__(self, member: "Member") -> None:
        super().__init__()
        self.member = member

    def snapshot(self) -> Snapshot:
        return self.member.snapshots[-1]


class Member:
    """One node with its stable log, its application and its work queues."""

    def __init__(self, settings: Settings, start: Snapshot | None) -> None:
        self.storage = _Storage(self)
        applied = 0
        self.snapshots = [Snapshot(0, 0, ConfState(), "")]
        if start is not None:
            self.storage.apply_snapshot(start)
            self.snapshots = [start]
            applied = start.index
        self.node = Node(settings, self.storage, FixedRandom(), applied)
        self.append_queue: list[Message] = []
        self.apply_queue: list[Message] = []

    def store(self, hard: Any, entries: tuple[Entry, ...], snapshot: Snapshot | None) -> None:
        if hard is not None:
            self.storage.hard_state = hard
        if snapshot is not None:
            self.storage.apply_snapshot(snapshot)
            self.snapshots.append(snapshot)
        self.storage.append(entries)

    def apply(self, entries: tuple[Entry, ...]) -> list[dict]:
        for entry in entries:
            state = self.snapshots[-1].conf_state
            data = self.snapshots[-1].data or ""
            if entry.type == messages.NORMAL:
                data += entry.data or ""
            else:
                state = self.node.apply_conf_change(entry.data)
            if entry.index > self.snapshots[-1].index:
                self.snapshots.append(Snapshot(entry.index, entry.term, state, data))
        return []


class Cluster:
    """The group of one script."""

    def __init__(self) -> None:
        self.members: dict[int, Member] = {}
        self.queue: list[Message] = []

    # -- commands

    def add_nodes(
        self, count: int, voters: list | tuple = (), learners: list | tuple = (), index: int = 0, content: str = "", **options: Any
    ) -> None:
        for _ in range(count):
            member = len(self.members) + 1
            settings = Settings(
                id=member,
                election_ticks=3,
                inflight_max=options.get("inflight", (1 << 31) - 1),
                async_storage_writes=options.get("async_storage_writes", False),
                pre_vote=options.get("prevote", False),
                check_quorum=options.get("checkquorum", False),
                applying_bytes_max=options.get("max_committed_size_per_ready", (1 << 64) - 1),
                disable_conf_change_validation=options.get("disable_conf_change_validation", False),
                read_only=options.get("read_only", "safe"),
                step_down_on_removal=options.get("step_down_on_removal", False),
            )
            start = Snapshot(index, 1, ConfState(tuple(voters), (), tuple(learners)), content) if index else None
            self.members[member] = Member(settings, start)

    def campaign(self, node: int) -> None:
        self.members[node].node.campaign()

    def propose(self, node: int, data: str) -> dict | None:
        return self._refusable(lambda: self.members[node].node.propose(data, len(data)))

    def propose_conf_change(self, node: int, changes: list, v1: bool = False, transition: str = "auto") -> dict | None:
        change = ConfChange(tuple((item["op"], item["id"]) for item in changes), transition)
        return self._refusable(lambda: self.members[node].node.propose_conf_change(change, v1))

    @staticmethod
    def _refusable(call: Any) -> dict | None:
        try:
            call()
        except RaftError as error:
            return {"error": error.name}
        return None

    def process_ready(self, nodes: list[int]) -> dict:
        return {"ready": [self._process_ready(node) for node in nodes]}

    def process_append_thread(self, nodes: list[int]) -> None:
        for node in nodes:
            self._process_append(node)

    def process_apply_thread(self, nodes: list[int]) -> None:
        for node in nodes:
            self._process_apply(node)

    def deliver_msgs(self, to: list | tuple = (), drop: list | tuple = (), type: str = "") -> dict:  # noqa: A002
        delivered: list[Message] = []
        dropped: list[Message] = []
        errors: list[str] = []
        for node in to:
            self._deliver(node, type, delivered, errors)
        for node in drop:
            kept = []
            for message in self.queue:
                own = message.from_ in (node, APPEND_THREAD, APPLY_THREAD)
                if message.to == node and not own and type in ("", message.type):
                    dropped.append(message)
                else:
                    kept.append(message)
            self.queue = kept
        shown = {"delivered": [show_message(m) for m in delivered], "dropped": [show_message(m) for m in dropped]}
        return shown | ({"errors": errors} if errors else {})

    def stabilize(self, nodes: list[int]) -> dict:
        chosen = list(nodes) or list(self.members)
        ready: list[dict] = []
        errors: list[dict] = []
        while True:
            busy = False
            for node in chosen:
                if self.members[node].node.has_ready():
                    busy = True
                    ready.append(self._process_ready(node))
            for node in chosen:
                if any(message.to == node for message in self.queue):
                    busy = True
                    failed: list[str] = []
                    self._deliver(node, "", [], failed)
                    errors += [{"node": node, "error": error} for error in failed]
            for process, queue in ((self._process_append, "append_queue"), (self._process_apply, "apply_queue")):
                for node in chosen:
                    while getattr(self.members[node], queue):
                        busy = True
                        process(node)
            if not busy:
                return {"ready": ready} | ({"errors": errors} if errors else {})

    def tick_election(self, node: int) -> None:
        for _ in range(3):
            self.members[node].node.tick()

    def tick_heartbeat(self, node: int) -> None:
        self.members[node].node.tick()

    def set_randomized_election_timeout(self, node: int, timeout: int) -> None:
        self.members[node].node.raft.randomized_election_ticks = timeout

    def transfer_leadership(self, from_: int, to: int) -> None:
        self.members[from_].node.transfer_leader(to)

    def forget_leader(self, node: int) -> None:
        self.members[node].node.forget_leader()

    def report_unreachable(self, node: int, peer: int) -> None:
        self.members[node].node.report_unreachable(peer)

    def send_snapshot(self, from_: int, to: int) -> None:
        member = self.members[from_]
        self.queue.append(Message(messages.SNAPSHOT, to=to, from_=from_, term=member.node.raft.term, snapshot=member.snapshots[-1]))

    def compact(self, node: int, index: int) -> dict:
        self.members[node].storage.compact(index)
        return self.raft_log(node)

    def raft_log(self, node: int) -> dict:
        storage = self.members[node].storage
        first, last = storage.first_index, storage.last_index
        if first > last:
            return {"log": [], "first_index": first, "last_index": last}
        return {"log": [show_entry(entry) for entry in storage.entries(first, last + 1)]}

    def raft_state(self) -> dict:
        nodes = []
        for node, member in self.members.items():
            raft = member.node.raft
            voter = node in raft.tracker.config.incoming | raft.tracker.config.outgoing
            nodes.append({"id": node, "state": raft.role, "voter": voter, "term": raft.term, "lead": raft.lead})
        return {"nodes": nodes}

    def status(self, node: int) -> dict:
        raft = self.members[node].node.raft
        shown = {}
        for member, progress in raft.tracker.members() if raft.role == "leader" else ():
            shown[member] = {
                "state": progress.state,
                "match": progress.match,
                "next": progress.next,
                "learner": progress.learner,
                "paused": progress.paused(),
                "pending_snapshot": progress.pending_snapshot,
                "active": progress.recently_active,
                "inflight": progress.inflights.count,
                "full": progress.inflights.full(),
            }
        return {"progress": shown}

    # -- the environment's work

    def _deliver(self, node: int, type_: str, delivered: list[Message], errors: list[str]) -> None:
        now, later = [], []
        for message in self.queue:
            (now if message.to == node and type_ in ("", message.type) else later).append(message)
        self.queue = later
        for message in now:
            delivered.append(message)
            try:
                self.members[node].node.step(message)
            except RaftError as error:
                errors.append(error.name)

    def _process_ready(self, node: int) -> dict:
        member = self.members[node]
        ready = member.node.ready()
        if member.node.raft.settings.async_storage_writes:
            for message in ready.messages:
                if message.to == APPEND_THREAD:
                    member.append_queue.append(message)
                elif message.to == APPLY_THREAD:
                    member.apply_queue.append(message)
                else:
                    self.queue.append(message)
            return show_ready(node, ready)
        member.store(ready.hard_state, ready.entries, ready.snapshot)
        member.apply(ready.committed)
        self.queue += ready.messages
        member.node.advance()
        return show_ready(node, ready)

    def _process_append(self, node: int) -> None:
        member = self.members[node]
        if not member.append_queue:
            return
        message = member.append_queue.pop(0)
        hard = messages.HardState(message.term, message.vote, message.commit) if message.term else None
        member.store(hard, message.entries, message.snapshot)
        self.queue += message.responses

    def _process_apply(self, node: int) -> None:
        member = self.members[node]
        if not member.apply_queue:
            return
        message = member.apply_queue.pop(0)
        member.apply(message.entries)
        self.queue += message.responses
