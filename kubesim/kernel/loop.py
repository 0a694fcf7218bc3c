"""The kernel: one agenda, the named random streams of one seed, and one trace.

It never sleeps and reads no clock. ``run()`` is a generator that yields the next deadline and is resumed with the time that has come; a
driver (``kubesim/drive``) owns it, and whether that driver jumps or sleeps is invisible from here. Single-threaded.
"""

from collections.abc import Generator
from typing import Self

from kubesim._core.agenda import PRIORITY_STANDING, Agenda
from kubesim._core.random import Stream
from kubesim.kernel.rng import Streams
from kubesim.kernel.time import EPOCH_NS
from kubesim.kernel.trace import Trace

__all__ = ["PRIORITY_EARLY", "PRIORITY_LATE", "PRIORITY_NORMAL", "PRIORITY_STANDING", "Kernel"]

# Among equal times the lower runs first; equal priorities run in the order of insertion.
PRIORITY_EARLY = -100
PRIORITY_NORMAL = 0
PRIORITY_LATE = 100
# From PRIORITY_STANDING (1000) on, an event stands: a timer that is always there (compaction, the flush of a queue, the end of an
# Event's life) or a deadline that is not expected to pass. Standing events run like all others, but a system in which only such
# events are left is quiet: nothing more happens until somebody asks for something.


class Kernel(Agenda):
    """Virtual time and everything that is to happen in it.

    ``seed`` decides every random draw; ``shuffle_ties`` runs events of equal time and priority in an order drawn from the seed, which
    explores schedules that insertion order never shows. It is an ``Agenda`` by inheritance, not by a field, because ``now_ns``, ``at``,
    ``after``, ``soon`` and ``cancel`` are the hottest calls of a simulation and are compiled this way.

    >>> kernel = Kernel(seed=1)
    >>> handle = kernel.after(1_500_000_000, print, "hello")
    >>> kernel.run_due(EPOCH_NS + 2_000_000_000)
    hello
    1
    """

    __slots__ = ("_streams", "seed", "shuffle_ties", "start_ns", "trace")

    def __new__(cls, seed: int = 0, start_ns: int = EPOCH_NS, shuffle_ties: bool = False) -> Self:
        """Make the agenda, which takes its parameters when it is allocated."""
        tie_seed = Stream(seed, "kernel/ties").u64() | 1 if shuffle_ties else 0
        return super().__new__(cls, start_ns, tie_seed)

    def __init__(self, seed: int = 0, start_ns: int = EPOCH_NS, shuffle_ties: bool = False) -> None:
        self.seed = seed
        self.start_ns = start_ns
        self.shuffle_ties = shuffle_ties
        self.trace = Trace()
        self._streams = Streams(seed)

    def rng(self, name: str) -> Stream:
        """Return the random stream of this name: its draws depend on (seed, name) only, never on which streams were asked for before."""
        return self._streams.stream(name)

    def run(self) -> Generator[int | None, int, None]:
        """Yield the next deadline in ns (None: nothing to do), be resumed with the present time, dispatch what is due, for ever.

        Every call sees its own deadline as ``now_ns``, also when the driver resumes late; then ``now_ns`` is the driver's time.
        """
        while True:
            deadline_ns = self.next_time()
            time_ns = yield (None if deadline_ns < 0 else deadline_ns)
            self.run_due(time_ns)
