"""The kernel: virtual time, one ordered agenda, named random streams, a network and a trace. Knows nothing of Kubernetes."""

from kubesim.kernel.loop import PRIORITY_EARLY, PRIORITY_LATE, PRIORITY_NORMAL, PRIORITY_STANDING, Kernel
from kubesim.kernel.network import LinkProfile, Network
from kubesim.kernel.rng import Stream
from kubesim.kernel.time import (
    DAY,
    EPOCH_NS,
    HOUR,
    MICROSECOND,
    MILLISECOND,
    MINUTE,
    SECOND,
    format_duration,
    format_micro_time,
    format_time,
    parse_duration,
    parse_time,
)
from kubesim.kernel.trace import Trace
from kubesim.kernel.wake import Wakeup

__all__ = [
    "DAY",
    "EPOCH_NS",
    "HOUR",
    "MICROSECOND",
    "MILLISECOND",
    "MINUTE",
    "PRIORITY_EARLY",
    "PRIORITY_LATE",
    "PRIORITY_NORMAL",
    "PRIORITY_STANDING",
    "SECOND",
    "Kernel",
    "LinkProfile",
    "Network",
    "Stream",
    "Trace",
    "Wakeup",
    "format_duration",
    "format_micro_time",
    "format_time",
    "parse_duration",
    "parse_time",
]
