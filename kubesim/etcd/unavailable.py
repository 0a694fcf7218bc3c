"""The errors that only a cluster gives: no leader, no quorum, no such member, and what changes of membership refuse.

Upstream: etcd ``api/v3rpc/rpctypes/error.go`` and ``server/etcdserver/errors``. A write whose error has ``is_unknown`` may still
take effect later, or have taken effect; after every other error it has not and never will.
"""

from kubesim.etcd.errors import FAILED_PRECONDITION, NOT_FOUND, EtcdError

UNKNOWN = 2
DEADLINE_EXCEEDED = 4
RESOURCE_EXHAUSTED = 8
UNAVAILABLE = 14


class ClusterError(EtcdError):
    """An error of the cluster, not of the request."""

    code = UNAVAILABLE
    is_unknown = False


class RequestTimeout(ClusterError):
    """The request was not answered in 7 s."""

    message = "etcdserver: request timed out"
    is_unknown = True


class TimeoutLeaderFailure(RequestTimeout):
    """The same, and a leader was lost meanwhile."""

    message = "etcdserver: request timed out, possibly due to previous leader failure"


class Stopped(ClusterError):
    """The member stopped while the request was under way."""

    message = "etcdserver: server stopped"
    is_unknown = True


class ConnectionLost(ClusterError):
    """The connection broke while the request was under way: whether it was executed is not known."""

    message = "error reading from server: EOF"
    is_unknown = True


class ConnectionRefused(ClusterError):
    """Nobody listens: the request was not executed."""

    message = "there is no connection available"


class DeadlineExceeded(ClusterError):
    """The client's own patience ended."""

    code = DEADLINE_EXCEEDED
    message = "context deadline exceeded"
    is_unknown = True


class ProposalDropped(ClusterError):
    """The leader is handing over, or has been removed."""

    code = UNKNOWN
    message = "raft proposal dropped"


class LeaderChanged(ClusterError):
    """A linearizable read met a change of leader."""

    message = "etcdserver: leader changed"


class NoLeader(ClusterError):
    """The member has had no leader for too long."""

    message = "etcdserver: no leader"


class TooManyRequests(ClusterError):
    """More than 5,000 committed entries wait to be applied."""

    code = RESOURCE_EXHAUSTED
    message = "etcdserver: too many requests"


class RequestTooLarge(ClusterError):
    """The request is above 1.5 MiB."""

    code = 3
    message = "etcdserver: request is too large"


class NotLeader(ClusterError):
    """Only the leader does this."""

    code = FAILED_PRECONDITION
    message = "etcdserver: not leader"


class BadTransferee(ClusterError):
    """The member to hand over to is unknown or a learner."""

    code = FAILED_PRECONDITION
    message = "etcdserver: bad leader transferee"


class TransferTimeout(ClusterError):
    """The handing over took too long."""

    message = "etcdserver: request timed out, leader transfer took too long"


class LearnerRefuses(ClusterError):
    """A learner serves only local reads and its status."""

    code = FAILED_PRECONDITION
    message = "etcdserver: rpc not supported for learner"


class MemberNotFound(ClusterError):
    """No such member, or one that was removed."""

    code = NOT_FOUND
    message = "etcdserver: member not found"


class MemberExists(ClusterError):
    """A member with this ID is there."""

    code = FAILED_PRECONDITION
    message = "etcdserver: member ID already exist"


class PeerExists(ClusterError):
    """A member with this address is there."""

    code = FAILED_PRECONDITION
    message = "etcdserver: Peer URLs already exists"


class NotLearner(ClusterError):
    """Only a learner is promoted."""

    code = FAILED_PRECONDITION
    message = "etcdserver: can only promote a learner member"


class LearnerNotReady(ClusterError):
    """The learner has less than 90 % of the leader's log."""

    code = FAILED_PRECONDITION
    message = "etcdserver: can only promote a learner member which is in sync with leader"


class TooManyLearners(ClusterError):
    """There is a learner already."""

    code = FAILED_PRECONDITION
    message = "etcdserver: too many learner members in cluster"


class NotEnoughStarted(ClusterError):
    """The members that have started would be no quorum of the new cluster."""

    code = FAILED_PRECONDITION
    message = "etcdserver: re-configuration failed due to not enough started members"
