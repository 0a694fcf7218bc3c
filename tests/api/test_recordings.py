"""Recorded creates, updates and patches of a v1.36 server, answered by this room alone.

What the server decides elsewhere (admission, allocation of addresses, the type of the request) is a difference here; the floors say how
much of each verb agrees, and never fall. The same recordings against the whole server are in tests/fidelity.
"""

import copy
from typing import Any

import pytest

from kubesim.api.errors import ApiError
from kubesim.api.kinds import KINDS
from tests.api import replay

LINES = [line for line in replay.recordings() if line["resource"] in KINDS]
FLOORS = {"create": 0.86, "update": 0.87, "patch": 0.88}


def agrees(line: dict[str, Any]) -> bool:
    """Whether the object or the message is the recorded one."""
    try:
        made = replay.answer(line)
    except ApiError as error:
        return line["status"] == error.code and replay.same_message(line["answer"].get("message", ""), error.message)
    return line["status"] < 300 and replay.comparable(line["answer"]) == replay.comparable(made)


@pytest.mark.parametrize("verb", FLOORS)
def test_recorded_answers(verb: str) -> None:
    lines = [line for line in LINES if line["verb"] == verb]
    passed = sum(agrees(line) for line in lines)
    assert len(lines) > 300
    assert passed >= FLOORS[verb] * len(lines), f"{passed} of {len(lines)}"


CREATED = [line for line in LINES if line["status"] < 300 and line["verb"] != "patch"]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.resource)
def test_defaults_are_idempotent_and_write_into_nothing(kind: Any) -> None:
    for line in CREATED:
        if line["resource"] != kind.resource:
            continue
        body = line["body"]
        before = copy.deepcopy(body)
        filled = kind.default(body)
        assert before == body, line["case"]
        assert kind.default(filled) is filled, line["case"]
        assert kind.default(copy.deepcopy(filled)) == filled, line["case"]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.resource)
def test_what_a_server_stored_is_valid(kind: Any) -> None:
    stored = [line["answer"] for line in LINES if line["resource"] == kind.resource and line["status"] < 300]
    for obj in stored:
        before = copy.deepcopy(obj)
        assert [str(error) for error in kind.validate_update(obj, obj)] == []
        assert before == obj


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.resource)
def test_every_stored_object_has_its_cells(kind: Any) -> None:
    now_ns = 1_767_225_600_000_000_000 + 90 * 60 * 1_000_000_000
    for line in LINES:
        if line["resource"] == kind.resource and line["status"] < 300:
            cells = {column.name: column.cell(line["answer"], now_ns) for column in kind.columns}
            assert cells["Name"]
            assert cells.get("Age", "90m") == "90m" or "creationTimestamp" not in line["answer"]["metadata"]
            for name, value in kind.selectable_fields.items():
                assert isinstance(value(line["answer"]), str), name
