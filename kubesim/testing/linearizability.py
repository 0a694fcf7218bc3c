"""Decide whether a history of concurrent operations is linearizable: as if each took effect at one instant between call and return.

The algorithm is that of Wing and Gong with Lowe's memory of visited configurations, as in Porcupine (anishathalye/porcupine):
operations are lifted from a doubly linked list of calls and returns, and a configuration (which operations took effect, and the
state after them) is explored once. An operation whose outcome is unknown returns at infinity: it may take effect at any later
time, or never. Deciding is exponential at worst; a model's ``partition`` (by key) is what keeps real histories small.
"""

from collections.abc import Callable, Generator, Hashable, Iterable, Sequence
from typing import Any, NamedTuple

State = Hashable


class Operation(NamedTuple):
    """One operation of one client. ``call`` and ``return_`` are positions in any total order; ``return_`` None: it never returned."""

    input: Any
    output: Any
    call: int
    return_: int | None
    client: int = 0


class Model(NamedTuple):
    """A sequential specification: ``step(state, input, output)`` gives the next state, or ``REFUSED`` when the output is impossible."""

    initial: State
    step: Callable[[Any, Any, Any], Any]
    partition: Callable[[Sequence[Operation]], Iterable[Sequence[Operation]]] | None = None


REFUSED = object()


class Verdict(NamedTuple):
    """``ok`` tells; if not, ``stuck`` is the longest order of operations that was found, and ``rest`` what did not fit behind it."""

    ok: bool
    stuck: tuple[Operation, ...] = ()
    rest: tuple[Operation, ...] = ()
    configurations_count: int = 0


class _Node:
    """A call or a return in the list of events."""

    __slots__ = ("index", "match", "next", "previous")

    def __init__(self, index: int) -> None:
        self.index = index
        self.match: _Node | None = None  # a call's return; None for a return
        self.previous: _Node = self
        self.next: _Node | None = None


def _link(operations: Sequence[Operation]) -> _Node:
    """Build the list of events in order; at equal positions calls come before returns. Return its head."""
    last = max((max(op.call, op.return_ or 0) for op in operations), default=0) + 1
    events: list[tuple[int, int, int, _Node]] = []
    for index, op in enumerate(operations):
        call, return_ = _Node(index), _Node(index)
        call.match = return_
        events.append((op.call, 0, index, call))
        events.append((last if op.return_ is None else op.return_, 1, index, return_))
    events.sort(key=lambda event: event[:3])
    head = tail = _Node(-1)
    for *_, node in events:
        tail.next, node.previous = node, tail
        tail = node
    return head


def _lift(call: _Node) -> None:
    """Take a call and its return out of the list."""
    call.previous.next = call.next
    assert call.next is not None and call.match is not None, "a call is followed at least by its return"
    call.next.previous = call.previous
    return_ = call.match
    return_.previous.next = return_.next
    if return_.next is not None:
        return_.next.previous = return_.previous


def _unlift(call: _Node) -> None:
    """Put a call and its return back: the reverse of ``_lift``, in reverse order."""
    return_ = call.match
    assert return_ is not None and call.next is not None, "a call is followed at least by its return"
    return_.previous.next = return_
    if return_.next is not None:
        return_.next.previous = return_
    call.previous.next = call
    call.next.previous = call


SLICE = 10_000  # configurations that one part explores before the next has its turn


def _explore(model: Model, operations: Sequence[Operation]) -> Generator[None, None, Verdict]:
    """Search one part; yields after each slice of work."""
    head = _link(operations)
    pending = sum(1 << index for index, op in enumerate(operations) if op.return_ is None)
    everything = (1 << len(operations)) - 1
    state: Any = model.initial
    done = 0
    seen: set[tuple[int, Any]] = {(0, state)}
    stack: list[tuple[_Node, Any]] = []
    longest: list[int] = []
    node = head.next
    while node is not None and done | pending != everything:
        if node.match is not None:  # a call: try to let it take effect now
            op = operations[node.index]
            after = model.step(state, op.input, op.output)
            if after is not REFUSED and (key := (done | 1 << node.index, after)) not in seen:
                seen.add(key)
                stack.append((node, state))
                done, state = key
                _lift(node)
                node = head.next
                if not len(seen) % SLICE:
                    yield
            else:
                node = node.next
            continue
        # A return whose operation has not taken effect: undo the last choice.
        if len(stack) > len(longest):
            longest = [entry.index for entry, _ in stack]
        if not stack:
            placed = set(longest)
            rest = tuple(op for index, op in enumerate(operations) if index not in placed)
            return Verdict(False, tuple(operations[index] for index in longest), rest, len(seen))
        entry, state = stack.pop()
        done &= ~(1 << entry.index)
        _unlift(entry)
        node = entry.next
    return Verdict(True, configurations_count=len(seen))


def check(model: Model, operations: Sequence[Operation], slices_max: int = 0) -> Verdict:
    """Decide whether the history is linearizable under ``model``.

    The parts take turns: one bad part decides, and it is often found fast while another would take for ever. With ``slices_max`` a part
    that explores more than so many times ``SLICE`` configurations is taken for linearizable: nothing was found against it.
    """
    parts = model.partition(operations) if model.partition else (operations,)
    searches = [_explore(model, part) for part in parts]
    count = turns = 0
    while searches:
        turns += 1
        if slices_max and turns > slices_max:
            break
        unfinished = []
        for search in searches:
            try:
                next(search)
                unfinished.append(search)
            except StopIteration as stop:
                verdict: Verdict = stop.value
                count += verdict.configurations_count
                if not verdict.ok:
                    return verdict._replace(configurations_count=count)
        searches = unfinished
    return Verdict(True, configurations_count=count)


# -- two models

UNKNOWN = "unknown"  # an output that says nothing


def _register_step(state: Any, input_: tuple, output: Any) -> Any:
    kind, *arguments = input_
    if kind == "read":
        return state if output in (UNKNOWN, state) else REFUSED
    if kind == "write":
        return arguments[0]
    expected, new = arguments
    if state == expected:
        return new if output in (UNKNOWN, True) else REFUSED
    return state if output in (UNKNOWN, False) else REFUSED


def _by_key(operations: Sequence[Operation]) -> list[list[Operation]]:
    parts: dict[Any, list[Operation]] = {}
    for op in operations:
        parts.setdefault(op.input[1], []).append(op)
    return list(parts.values())


def _key_value_step(state: Any, input_: tuple, output: Any) -> Any:
    kind, _, *arguments = input_
    if kind == "get":
        return state if output in (UNKNOWN, state) else REFUSED
    return arguments[0] if kind == "put" else state + arguments[0]


REGISTER = Model(None, _register_step)
"""One register: ("read",) -> value, ("write", value), ("cas", expected, new) -> bool; empty at first (None)."""

KEY_VALUE = Model("", _key_value_step, _by_key)
"""Strings by key: ("get", key) -> value, ("put", key, value), ("append", key, value); empty strings at first."""
