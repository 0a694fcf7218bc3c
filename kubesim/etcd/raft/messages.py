"""The vocabulary of Raft: entries, snapshots, messages and membership changes, as plain values.

Ids are positive ints; ``NONE`` (0) is nobody. ``APPEND_THREAD`` and ``APPLY_THREAD`` are the local targets of asynchronous
storage writes.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

NONE = 0
APPEND_THREAD = -1
APPLY_THREAD = -2

NORMAL = "normal"
CONF_CHANGE = "conf_change"  # one change, the old kind
CONF_CHANGE_V2 = "conf_change_v2"  # several changes, or leaving a joint configuration

HUP = "MsgHup"
BEAT = "MsgBeat"
PROPOSE = "MsgProp"
APPEND = "MsgApp"
APPEND_RESPONSE = "MsgAppResp"
VOTE = "MsgVote"
VOTE_RESPONSE = "MsgVoteResp"
SNAPSHOT = "MsgSnap"
HEARTBEAT = "MsgHeartbeat"
HEARTBEAT_RESPONSE = "MsgHeartbeatResp"
UNREACHABLE = "MsgUnreachable"
SNAPSHOT_STATUS = "MsgSnapStatus"
CHECK_QUORUM = "MsgCheckQuorum"
TRANSFER_LEADER = "MsgTransferLeader"
TIMEOUT_NOW = "MsgTimeoutNow"
READ_INDEX = "MsgReadIndex"
READ_INDEX_RESPONSE = "MsgReadIndexResp"
PRE_VOTE = "MsgPreVote"
PRE_VOTE_RESPONSE = "MsgPreVoteResp"
STORAGE_APPEND = "MsgStorageAppend"
STORAGE_APPEND_RESPONSE = "MsgStorageAppendResp"
STORAGE_APPLY = "MsgStorageApply"
STORAGE_APPLY_RESPONSE = "MsgStorageApplyResp"
FORGET_LEADER = "MsgForgetLeader"

LOCAL_TYPES = frozenset(
    {HUP, BEAT, UNREACHABLE, SNAPSHOT_STATUS, CHECK_QUORUM, STORAGE_APPEND, STORAGE_APPEND_RESPONSE, STORAGE_APPLY, STORAGE_APPLY_RESPONSE}
)
RESPONSE_TYPES = frozenset(
    {
        APPEND_RESPONSE,
        VOTE_RESPONSE,
        HEARTBEAT_RESPONSE,
        UNREACHABLE,
        READ_INDEX_RESPONSE,
        PRE_VOTE_RESPONSE,
        STORAGE_APPEND_RESPONSE,
        STORAGE_APPLY_RESPONSE,
    }
)
AFTER_APPEND_TYPES = frozenset({APPEND_RESPONSE, VOTE_RESPONSE, PRE_VOTE_RESPONSE})  # promises: sent once the state they promise is durable
VOTE_TYPES = frozenset({VOTE, VOTE_RESPONSE, PRE_VOTE, PRE_VOTE_RESPONSE})  # carry the term of the campaign, not the sender's

CAMPAIGN_TRANSFER = "CampaignTransfer"  # context of a vote request that ignores the leader's lease


class RaftError(Exception):
    """A request that the protocol refuses; ``name`` is stable: proposal_dropped, peer_not_found, local_message."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class ConfChange(NamedTuple):
    """A membership change: ``changes`` is ((op, id), ...), op is voter, learner, remove or update; none: leave a joint configuration."""

    changes: tuple[tuple[str, int], ...]
    transition: str = "auto"  # auto, implicit (joint, left by itself) or explicit (joint, left on request)
    context: Any = None

    def leaves_joint(self) -> bool:
        """Whether this is the request to leave a joint configuration."""
        return not self.changes and self.transition == "auto"

    def enters_joint(self) -> bool:
        """Whether applying it goes through a joint configuration."""
        return self.transition != "auto" or len(self.changes) > 1

    def leaves_automatically(self) -> bool:
        """Whether the leader leaves the joint configuration by itself."""
        return self.transition != "explicit"


class Entry(NamedTuple):
    """One entry of the log. ``data`` is opaque for NORMAL, a ConfChange otherwise; ``size_bytes`` counts against the limits."""

    term: int
    index: int  # type: ignore[assignment]  # the field's own name; tuple.index is not used
    type: str
    data: Any
    size_bytes: int = 0


class ConfState(NamedTuple):
    """A configuration as it is stored in a snapshot; ids sorted."""

    voters: tuple[int, ...] = ()
    voters_outgoing: tuple[int, ...] = ()
    learners: tuple[int, ...] = ()
    learners_next: tuple[int, ...] = ()
    auto_leave: bool = False


class Snapshot(NamedTuple):
    """The applied state up to ``index``; ``data`` is opaque."""

    index: int  # type: ignore[assignment]
    term: int
    conf_state: ConfState
    data: Any = None


class HardState(NamedTuple):
    """What must be durable before messages leave."""

    term: int = 0
    vote: int = NONE
    commit: int = 0


class SoftState(NamedTuple):
    """What need not be durable: the leader's id and this member's role."""

    lead: int
    state: str


class ReadState(NamedTuple):
    """A linearizable read may be answered once ``index`` is applied."""

    index: int  # type: ignore[assignment]
    context: Any


class Message(NamedTuple):
    """One message. Unused fields are zero; ``reject_hint`` means something only with ``reject``."""

    type: str
    to: int = NONE
    from_: int = NONE
    term: int = 0
    log_term: int = 0
    index: int = 0  # type: ignore[assignment]
    entries: tuple[Entry, ...] = ()
    commit: int = 0
    vote: int = NONE
    snapshot: Snapshot | None = None
    reject: bool = False
    reject_hint: int = 0
    context: Any = None
    responses: tuple["Message", ...] = ()


SizeOf = Callable[[Any], int]


def payload_size(entries: tuple[Entry, ...] | list[Entry]) -> int:
    """Return the bytes of the entries' data."""
    return sum(entry.size_bytes for entry in entries)
