"""The checker against a plain one (all orders tried), and against the labelled histories of real systems."""

import gzip
import itertools
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubesim.testing.linearizability import KEY_VALUE, REFUSED, REGISTER, UNKNOWN, Model, Operation, check

HISTORIES = Path(__file__).resolve().parents[3] / "shared" / "conformance" / "histories" / "histories.jsonl.gz"
REGISTER_LINE = re.compile(r"(\d+)\s+:(invoke|ok|fail|info)\s+:(read|write|cas)\s+(.*)")
KV_LINE = re.compile(r'\{:process (\d+), :type :(\w+), :f :(\w+), :key "(.*?)", :value (nil|".*")\}')


def number(text: str) -> int | None:
    return None if text == "nil" else int(text)


def register_events(log: str):
    """(client, type, input, output) per line of a register's log."""
    for line in log.splitlines():
        match = REGISTER_LINE.search(line)
        if match is None:
            continue
        client, kind, function, value = match.groups()
        if function == "cas":
            pair = re.findall(r"-?\d+", value)
            output = {"ok": True, "fail": False}.get(kind, UNKNOWN)
            yield int(client), kind, ("cas", *map(int, pair[:2])), output
        elif function == "write":
            yield int(client), kind, ("write", number(value) if kind == "invoke" else None), None
        else:
            yield int(client), kind, ("read",), number(value) if kind == "ok" else UNKNOWN


def kv_events(log: str):
    for line in log.splitlines():
        match = KV_LINE.search(line)
        if match is None:
            continue
        client, kind, function, key, value = match.groups()
        text = "" if value == "nil" else value[1:-1]
        yield int(client), kind, (function, key) + (() if function == "get" else (text,)), text if kind == "ok" else UNKNOWN


def operations(events) -> list[Operation]:
    """Pair calls and returns. A failed read returns and says nothing; a timed-out operation never returns."""
    found: list[Operation] = []
    open_: dict[int, int] = {}
    for position, (client, kind, input_, output) in enumerate(events):
        if kind == "invoke":
            open_[client] = len(found)
            found.append(Operation(input_, UNKNOWN, position, None, client))
        elif client in open_:
            index = open_.pop(client)
            if kind != "info":
                found[index] = found[index]._replace(output=output, return_=position)
    return found


def labelled() -> list[dict]:
    if not HISTORIES.exists():
        return []
    return [json.loads(line) for line in gzip.open(HISTORIES, "rt", encoding="utf-8")]


@pytest.mark.shared
@pytest.mark.skipif(not HISTORIES.exists(), reason="the folder of recordings is not beside this checkout")
@pytest.mark.parametrize("history", labelled(), ids=lambda history: history["name"])
def test_labelled_histories(history: dict) -> None:
    events, model = (kv_events, KEY_VALUE) if history["model"] == "kv" else (register_events, REGISTER)
    verdict = check(model, operations(events(history["log"])))
    if history["linearizable"] is not None:
        assert history["linearizable"] == verdict.ok


def twin(model: Model, history: list[Operation]) -> bool:
    """Whether some order of some operations explains the history: all tried. Those that returned must be in it."""
    must = [op for op in history if op.return_ is not None]
    may = [op for op in history if op.return_ is None]
    for count in range(len(may) + 1):
        for chosen in itertools.combinations(may, count):
            for order in itertools.permutations([*must, *chosen]):
                if _respects_time(order) and _explains(model, order):
                    return True
    return False


def _respects_time(order) -> bool:
    return all(later.return_ is None or later.return_ >= earlier.call for i, earlier in enumerate(order) for later in order[i + 1 :])


def _explains(model: Model, order) -> bool:
    state = model.initial
    for op in order:
        state = model.step(state, op.input, op.output)
        if state is REFUSED:
            return False
    return True


VALUES = st.integers(0, 2)
INPUTS = st.one_of(st.just(("read",)), st.tuples(st.just("write"), VALUES), st.tuples(st.just("cas"), VALUES, VALUES))


@st.composite
def histories(draw) -> list[Operation]:
    """Up to five operations at random places in time; positions are distinct."""
    count = draw(st.integers(0, 5))
    places = draw(st.permutations(range(2 * count)))
    history = []
    for index in range(count):
        call, return_ = sorted(places[2 * index : 2 * index + 2])
        input_ = draw(INPUTS)
        outputs = {"read": st.one_of(st.none(), VALUES), "write": st.none(), "cas": st.booleans()}[input_[0]]
        returned = draw(st.booleans()) or draw(st.booleans())
        history.append(Operation(input_, draw(outputs) if returned else UNKNOWN, call, return_ if returned else None, index))
    return history


@given(histories())
def test_agrees_with_all_orders_tried(history: list[Operation]) -> None:
    assert twin(REGISTER, history) == check(REGISTER, history).ok


def test_a_bad_history_names_what_does_not_fit() -> None:
    write = Operation(("write", 1), None, 0, 1)
    stale = Operation(("read",), None, 2, 3)
    verdict = check(REGISTER, [write, stale])
    assert not verdict.ok
    assert verdict.rest == (stale,)
