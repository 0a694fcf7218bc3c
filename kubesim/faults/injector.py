"""Carries out faults at their times, and remembers what happened: ``log`` has each beginning and end.

A fault that would do what is undone already (a node that is down fails again) is harmless: its kind sees to that. Faults that lie in the
future keep a cluster from being converged, their ends too.
"""

from collections import Counter
from typing import NamedTuple

from kubesim.faults.contract import End, Fault, Target
from kubesim.kernel.rng import Stream


class Entry(NamedTuple):
    """One line of the log: ``what`` is "begins" or "ends"."""

    time_ns: int
    name: str
    kind: str
    what: str


class Injector:
    """The faults of one cluster."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._open: dict[int, tuple[Fault, End]] = {}
        self._count = 0
        self.log: list[Entry] = []

    def schedule(self, fault: Fault) -> int:
        """Have a fault begin at its time from now on, and end after its duration; returns its number."""
        self._count += 1
        kernel = self._target.kernel
        kernel.at(kernel.now_ns + fault.at_ns, self._begin, fault, self._count)
        return self._count

    def begin(self, fault: Fault) -> int:
        """Begin at once, whatever the fault's time; returns its number for ``end``."""
        self._count += 1
        self._begin(fault, self._count)
        return self._count

    def _begin(self, fault: Fault, number: int) -> None:
        self._note(fault, "begins")
        end = fault.kind.begin(self._target, fault.parameters, Stream(fault.seed, f"fault/{fault.kind.name}"))
        if end is not None:
            self._open[number] = (fault, end)
            if fault.duration_ns is not None:
                self._target.kernel.after(fault.duration_ns, self.end, number)

    def end(self, number: int) -> None:
        """End a fault; one that has ended, or has nothing to undo, stays as it is."""
        found = self._open.pop(number, None)
        if found is not None:
            fault, undo = found
            undo()
            self._note(fault, "ends")

    def end_all(self) -> None:
        """End every fault that is under way, the last first."""
        for number in sorted(self._open, reverse=True):
            self.end(number)

    def counts(self) -> dict[str, int]:
        """How many faults of each kind have begun."""
        return dict(sorted(Counter(entry.kind for entry in self.log if entry.what == "begins").items()))

    def _note(self, fault: Fault, what: str) -> None:
        kernel = self._target.kernel
        entry = Entry(kernel.now_ns, fault.name, fault.kind.name, what)
        self.log.append(entry)
        kernel.trace.record("fault", what, fault.kind.name, fault.name)
