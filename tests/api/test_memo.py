"""The compiled memo against its plain twin."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubesim.api.memo import IdentityMemo
from tests.api.memo_twin import IdentityMemo as Twin

KEYS = tuple({"n": number} for number in range(5))
steps = st.tuples(st.sampled_from(("call", "remember", "clear")), st.sampled_from(KEYS), st.integers(0, 3))


@given(st.lists(steps, max_size=30), st.integers(1, 4))
def test_it_answers_and_forgets_as_its_twin(drawn: list[tuple[str, Any, int]], size_max: int) -> None:
    calls: tuple[list[Any], list[Any]] = ([], [])
    memos = [made(lambda obj, at=at: (calls[at].append(obj), obj["n"])[1], size_max) for at, made in enumerate((IdentityMemo, Twin))]
    for step, key, value in drawn:
        for memo in memos:
            match step:
                case "remember":
                    memo.remember(key, value)
                case "clear":
                    memo.clear()
        if step == "call":
            assert memos[0](key) == memos[1](key)
        assert len(memos[0]) == len(memos[1]) <= size_max
    assert calls[0] == calls[1]


def test_equal_objects_are_two() -> None:
    memo: IdentityMemo[int] = IdentityMemo(lambda obj: len(memo))
    assert (memo([1]), memo([1]), len(memo)) == (0, 1, 2)


def test_it_remembers_at_least_one() -> None:
    with pytest.raises(ValueError, match="size_max: 0: expected at least 1"):
        IdentityMemo(len, 0)
