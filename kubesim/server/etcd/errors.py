"""What a client is told of an error: the gRPC code and message, and the HTTP status of the gateway."""

import sys
import traceback

from kubesim._core.revision_store import Compacted, FutureRevision
from kubesim.etcd.errors import EtcdError, status_of
from kubesim.etcd.wire.codec import DecodeError
from kubesim.etcd.wire.json_text import JsonError

INVALID_ARGUMENT, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE = 3, 4, 8, 12, 13, 14
HTTP_STATUS = {
    0: 200,
    1: 499,
    2: 500,
    3: 400,
    4: 504,
    5: 404,
    6: 409,
    7: 403,
    8: 429,
    9: 400,
    10: 409,
    11: 400,
    12: 501,
    13: 500,
    14: 503,
    15: 500,
    16: 401,
}


class Refused(EtcdError):
    """An error of the transport, with its code and message."""

    def __init__(self, code: int, message: str) -> None:
        self.code = code
        self.message = message
        super().__init__()


def too_large(size: int, size_max: int) -> Refused:
    """Return the error for a message that is above gRPC's limit."""
    return Refused(RESOURCE_EXHAUSTED, f"grpc: received message larger than max ({size} vs. {size_max})")


def code_and_message(error: Exception) -> tuple[int, str]:
    """Return what to tell a client. An error of ours is told as such and printed: the server lives on."""
    if isinstance(error, (EtcdError, Compacted, FutureRevision)):
        return status_of(error)
    if isinstance(error, JsonError):
        return INVALID_ARGUMENT, str(error)
    if isinstance(error, DecodeError):
        return INTERNAL, f"grpc: error while marshaling or unmarshaling: {error}"
    print("kubesim etcd: an error of its own while it served a request:", file=sys.stderr)
    traceback.print_exception(error, file=sys.stderr)
    return INTERNAL, f"kubesim: internal error: {type(error).__name__}: {error}"
