"""etcd's errors: a gRPC code and the exact message, which real clients match on.

Upstream: etcd ``api/v3rpc/rpctypes/error.go``. ``Compacted`` and ``FutureRevision`` come from the store with their revisions as
attributes; ``status_of`` gives the code and message of any error that this room raises.
"""

from kubesim._core.revision_store import Compacted, FutureRevision

INVALID_ARGUMENT = 3
NOT_FOUND = 5
FAILED_PRECONDITION = 9
OUT_OF_RANGE = 11


class EtcdError(Exception):
    """A request that etcd refuses. ``code`` is the gRPC status code, ``message`` etcd's own text."""

    code = INVALID_ARGUMENT
    message = ""

    def __init__(self) -> None:
        super().__init__(self.message)


class KeyNotProvided(EtcdError):
    """The key of a request is empty."""

    message = "etcdserver: key is not provided"


class KeyNotFound(EtcdError):
    """A put keeps the value or lease of a key that does not exist, or an operation of a transaction is empty."""

    message = "etcdserver: key not found"


class ValueProvided(EtcdError):
    """A put keeps the value and brings one."""

    message = "etcdserver: value is provided"


class LeaseProvided(EtcdError):
    """A put keeps the lease and brings one."""

    message = "etcdserver: lease is provided"


class InvalidSortOption(EtcdError):
    """A range names no known order or target."""

    message = "etcdserver: invalid sort option"


class TooManyOperations(EtcdError):
    """A transaction has more compares or operations than it may."""

    message = "etcdserver: too many operations in txn request"


class DuplicateKey(EtcdError):
    """A transaction may put one key twice, or put and delete it."""

    message = "etcdserver: duplicate key given in txn request"


class WatchRangeEmpty(EtcdError):
    """A watch of a range that ends before it begins; the reason that etcd gives with its ``canceled``."""

    message = "mvcc: watcher range is empty"


class LeaseNotFound(EtcdError):
    """A put or a revoke names a lease that is not there (any more)."""

    code = NOT_FOUND
    message = "etcdserver: requested lease not found"


class LeaseExists(EtcdError):
    """A grant names a lease that is there."""

    code = FAILED_PRECONDITION
    message = "etcdserver: lease already exists"


class LeaseTtlTooLarge(EtcdError):
    """A grant asks for more than 9,000,000,000 seconds."""

    code = OUT_OF_RANGE
    message = "etcdserver: too large lease TTL"


def status_of(error: Exception) -> tuple[int, str]:
    """Return the gRPC code and message of an error of this room. Raises TypeError for any other exception."""
    if isinstance(error, EtcdError):
        return error.code, error.message
    if isinstance(error, Compacted):
        return OUT_OF_RANGE, "etcdserver: mvcc: required revision has been compacted"
    if isinstance(error, FutureRevision):
        return OUT_OF_RANGE, "etcdserver: mvcc: required revision is a future revision"
    raise TypeError(f"not an error of etcd: {error!r}")
