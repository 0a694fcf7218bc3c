"""What leader, candidate and follower do with a message. One function per message type and role; ``core`` does the rest.

Upstream: stepLeader, stepCandidate, stepFollower of raft/raft.go.
"""

from collections.abc import Callable

from kubesim.etcd.raft import messages
from kubesim.etcd.raft import progress as states
from kubesim.etcd.raft.core import CANDIDATE, FOLLOWER, LEADER, LOST, PRE_CANDIDATE, WON, Raft
from kubesim.etcd.raft.messages import CONF_CHANGE, CONF_CHANGE_V2, NONE, NORMAL, ConfChange, Entry, Message, RaftError, ReadState
from kubesim.etcd.raft.reads import LEASE_BASED, SAFE

Handler = Callable[[Raft, Message], None]

# -- leader


def _beat(raft: Raft, _: Message) -> None:
    raft.broadcast_heartbeat()


def _check_quorum(raft: Raft, _: Message) -> None:
    if not raft.tracker.quorum_active():
        raft.become_follower(raft.term, NONE)
    for member, progress in raft.tracker.members():
        if member != raft.id:
            progress.recently_active = False


def _propose(raft: Raft, message: Message) -> None:
    assert message.entries, "a proposal without entries"
    if raft.id not in raft.tracker.progress or raft.transferee != NONE:
        raise RaftError("proposal_dropped")  # removed, or about to hand over
    entries = [_admit(raft, entry, raft.log.last_index + 1 + offset) for offset, entry in enumerate(message.entries)]
    if not raft.append_entries(entries):
        raise RaftError("proposal_dropped")
    raft.broadcast_append()


def _admit(raft: Raft, entry: Entry, index: int) -> Entry:
    """Let a membership change through if none is pending and it fits the configuration; otherwise an empty entry takes its place."""
    if entry.type not in (CONF_CHANGE, CONF_CHANGE_V2):
        return entry
    change: ConfChange = entry.data
    joint = raft.tracker.config.joint
    pending = raft.pending_conf_index > raft.log.applied
    refused = pending or (joint != (not change.changes))
    if refused and not raft.settings.disable_conf_change_validation:
        return Entry(0, 0, NORMAL, None)
    raft.pending_conf_index = index
    return entry


def _read_index(raft: Raft, message: Message) -> None:
    # Upstream answers a singleton's read at once. But a power cut may have taken the commit index and left the entry that it spoke of.
    if not raft.committed_in_term():
        raft.pending_reads.append(message)  # until the leader knows what is committed
    else:
        confirm_read(raft, message)


def confirm_read(raft: Raft, message: Message) -> None:
    """Answer a read at the commit index of now, once a quorum has confirmed that this member leads."""
    if raft.tracker.is_singleton():
        answer_read(raft, message, raft.log.committed)
    elif raft.read_only.option == SAFE:
        context = message.entries[0].data
        raft.read_only.add(raft.log.committed, message)
        raft.read_only.acknowledge(raft.id, context)
        raft.broadcast_heartbeat(context)
    else:
        answer_read(raft, message, raft.log.committed)


def answer_read(raft: Raft, request: Message, index: int) -> None:
    """Answer a read: to this member's own application, or to the follower that forwarded it."""
    if request.from_ in (NONE, raft.id):
        raft.read_states.append(ReadState(index, request.entries[0].data))
    else:
        raft.send(Message(messages.READ_INDEX_RESPONSE, to=request.from_, index=index, entries=request.entries))


def _append_response(raft: Raft, message: Message) -> None:
    progress = raft.tracker.progress.get(message.from_)
    if progress is None:
        return
    progress.recently_active = True
    if message.reject:
        _rejected(raft, message, progress)
        return
    # An acknowledgement counts also when it says nothing new but lets a probing follower stream again.
    if not (progress.maybe_update(message.index) or (progress.match == message.index and progress.state == states.PROBE)):
        return
    if progress.state == states.PROBE:
        progress.become_replicate()
    elif progress.state == states.SNAPSHOT:
        if progress.match + 1 >= raft.log.first_index:
            progress.become_probe()
            progress.become_replicate()
    else:
        progress.inflights.free_up_to(message.index)
    if raft.maybe_commit():
        _release_pending_reads(raft)
        raft.broadcast_append()
    elif message.from_ != raft.id and progress.can_bump_commit(raft.log.committed):
        raft.send_append(message.from_)
    if message.from_ != raft.id:
        while raft.maybe_send_append(message.from_, send_if_empty=False):
            pass  # the window opened: fill it
    if message.from_ == raft.transferee and progress.match == raft.log.last_index:
        raft.send(Message(messages.TIMEOUT_NOW, to=message.from_))


def _rejected(raft: Raft, message: Message, progress: states.Progress) -> None:
    """Step back at once to the last entry that can match, by the terms that both sides know (Raft 5.3, improved)."""
    hint = message.reject_hint
    if message.log_term > 0:
        hint, _ = raft.log.find_conflict_by_term(message.reject_hint, message.log_term)
    if progress.maybe_decrease_to(message.index, hint):
        if progress.state == states.REPLICATE:
            progress.become_probe()
        raft.send_append(message.from_)


def _release_pending_reads(raft: Raft) -> None:
    if raft.pending_reads and raft.committed_in_term():
        waiting, raft.pending_reads = raft.pending_reads, []
        for message in waiting:
            confirm_read(raft, message)


def _heartbeat_response(raft: Raft, message: Message) -> None:
    progress = raft.tracker.progress.get(message.from_)
    if progress is None:
        return
    progress.recently_active = True
    progress.append_paused = False
    if progress.match < raft.log.last_index or progress.state == states.PROBE:
        raft.send_append(message.from_)
    if raft.read_only.option != SAFE or message.context is None:
        return
    if raft.tracker.quorum_of(sorted(raft.read_only.acknowledge(message.from_, message.context))):
        for read in raft.read_only.advance(message.context):
            answer_read(raft, read.request, read.index)


def _snapshot_status(raft: Raft, message: Message) -> None:
    progress = raft.tracker.progress.get(message.from_)
    if progress is None or progress.state != states.SNAPSHOT:
        return
    if message.reject:
        progress.pending_snapshot = 0
    progress.become_probe()
    # If it arrived, wait for the follower's answer before sending more; if not, for a heartbeat before trying again.
    progress.append_paused = True


def _unreachable(raft: Raft, message: Message) -> None:
    progress = raft.tracker.progress.get(message.from_)
    if progress is not None and progress.state == states.REPLICATE:
        progress.become_probe()


def _transfer_leader(raft: Raft, message: Message) -> None:
    target = message.from_
    progress = raft.tracker.progress.get(target)
    if progress is None or progress.learner or target in (raft.transferee, raft.id):
        return
    raft.election_elapsed = 0  # it must succeed within an election timeout
    raft.transferee = target
    if progress.match == raft.log.last_index:
        raft.send(Message(messages.TIMEOUT_NOW, to=target))
    else:
        raft.send_append(target)


# -- candidate


def _vote_response(raft: Raft, message: Message) -> None:
    expected = messages.PRE_VOTE_RESPONSE if raft.role == PRE_CANDIDATE else messages.VOTE_RESPONSE
    if message.type != expected:
        return
    result = raft.poll(message)
    if result == WON:
        if raft.role == PRE_CANDIDATE:
            raft.campaign(CANDIDATE)
        else:
            raft.become_leader()
            raft.broadcast_append()
    elif result == LOST:
        raft.become_follower(raft.term, NONE)


def _drop_proposal(raft: Raft, message: Message) -> None:
    raise RaftError("proposal_dropped")


# -- follower (a candidate that hears from the leader of its term becomes one first)


def _heard_from_leader(handler: Handler) -> Handler:
    def hear(raft: Raft, message: Message) -> None:
        if raft.role != FOLLOWER:
            raft.become_follower(message.term, message.from_)
        raft.election_elapsed = 0
        raft.lead = message.from_
        handler(raft, message)

    return hear


def _append(raft: Raft, message: Message) -> None:
    log = raft.log
    if message.index < log.committed:
        raft.send(Message(messages.APPEND_RESPONSE, to=message.from_, index=log.committed))
        return
    last = log.maybe_append((message.index, message.log_term), message.entries, message.commit)
    if last is not None:
        raft.send(Message(messages.APPEND_RESPONSE, to=message.from_, index=last))
        return
    hint, hint_term = log.find_conflict_by_term(min(message.index, log.last_index), message.log_term)
    raft.send(Message(messages.APPEND_RESPONSE, to=message.from_, index=message.index, reject=True, reject_hint=hint, log_term=hint_term))


def _heartbeat(raft: Raft, message: Message) -> None:
    raft.log.commit_to(message.commit)
    raft.send(Message(messages.HEARTBEAT_RESPONSE, to=message.from_, context=message.context))


def _snapshot(raft: Raft, message: Message) -> None:
    assert message.snapshot is not None, "a MsgSnap without its snapshot"
    index = raft.log.last_index if raft.restore(message.snapshot) else raft.log.committed
    raft.send(Message(messages.APPEND_RESPONSE, to=message.from_, index=index))


def _forward(raft: Raft, message: Message) -> None:
    if raft.lead != NONE:
        raft.send(message._replace(to=raft.lead, term=0))


def _forward_proposal(raft: Raft, message: Message) -> None:
    if raft.lead == NONE or raft.settings.disable_proposal_forwarding:
        raise RaftError("proposal_dropped")
    raft.send(message._replace(to=raft.lead))


def _forget_leader(raft: Raft, _: Message) -> None:
    if raft.read_only.option != LEASE_BASED:  # a lease is a promise not to help another leader
        raft.lead = NONE


def _timeout_now(raft: Raft, _: Message) -> None:
    # Without pre-vote: the leader itself asked for this, so there is nobody to disturb.
    raft.hup(messages.CAMPAIGN_TRANSFER)


def _read_index_response(raft: Raft, message: Message) -> None:
    if len(message.entries) == 1:
        raft.read_states.append(ReadState(message.index, message.entries[0].data))


_LEADER: dict[str, Handler] = {
    messages.BEAT: _beat,
    messages.CHECK_QUORUM: _check_quorum,
    messages.PROPOSE: _propose,
    messages.READ_INDEX: _read_index,
    messages.APPEND_RESPONSE: _append_response,
    messages.HEARTBEAT_RESPONSE: _heartbeat_response,
    messages.SNAPSHOT_STATUS: _snapshot_status,
    messages.UNREACHABLE: _unreachable,
    messages.TRANSFER_LEADER: _transfer_leader,
}
_FROM_LEADER: dict[str, Handler] = {
    messages.APPEND: _heard_from_leader(_append),
    messages.HEARTBEAT: _heard_from_leader(_heartbeat),
    messages.SNAPSHOT: _heard_from_leader(_snapshot),
}
_CANDIDATE: dict[str, Handler] = {
    **_FROM_LEADER,
    messages.PROPOSE: _drop_proposal,
    messages.VOTE_RESPONSE: _vote_response,
    messages.PRE_VOTE_RESPONSE: _vote_response,
}
_FOLLOWER: dict[str, Handler] = {
    **_FROM_LEADER,
    messages.PROPOSE: _forward_proposal,
    messages.TRANSFER_LEADER: _forward,
    messages.FORGET_LEADER: _forget_leader,
    messages.TIMEOUT_NOW: _timeout_now,
    messages.READ_INDEX: _forward,
    messages.READ_INDEX_RESPONSE: _read_index_response,
}
ROLES: dict[str, dict[str, Handler]] = {LEADER: _LEADER, CANDIDATE: _CANDIDATE, PRE_CANDIDATE: _CANDIDATE, FOLLOWER: _FOLLOWER}


def step_role(raft: Raft, message: Message) -> None:
    """Hand the message to the handler of the member's role; a role that has none ignores it."""
    handler = ROLES[raft.role].get(message.type)
    if handler is not None:
        handler(raft, message)
