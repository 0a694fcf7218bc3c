"""Merged messages have the effect of those that they stand for."""

from hypothesis import given
from hypothesis import strategies as st

from kubesim.etcd.raft.merging import merged
from kubesim.etcd.raft.messages import APPEND, APPEND_RESPONSE, HEARTBEAT, Entry, Message


def append(to: int, index: int, count: int, commit: int, term: int = 2) -> Message:
    return Message(APPEND, to=to, from_=1, term=term, index=index, log_term=term, entries=entries(index, count, term), commit=commit)


def entries(index: int, count: int, term: int = 2) -> tuple[Entry, ...]:
    return tuple(Entry(term, index + offset, "normal", offset) for offset in range(1, count + 1))


def acknowledge(to: int, index: int, reject: bool = False) -> Message:
    return Message(APPEND_RESPONSE, to=to, from_=2, term=2, index=index, reject=reject)


def test_appends_that_follow_one_another_are_one() -> None:
    found = merged([append(2, 10, 2, 9), append(3, 10, 2, 9), append(2, 12, 1, 10), append(2, 13, 0, 12), append(2, 15, 1, 12)])
    assert [(message.to, message.index, len(message.entries), message.commit) for message in found] == [
        (2, 10, 3, 12), (3, 10, 2, 9), (2, 15, 1, 12),
    ]  # fmt: skip
    assert found[0].entries == entries(10, 2) + entries(12, 1)


def test_what_lies_between_or_differs_is_kept() -> None:
    kept = [append(2, 10, 1, 9), Message(HEARTBEAT, to=2, from_=1, term=2), append(2, 11, 1, 9), append(2, 12, 1, 9, term=3)]
    assert merged(kept) == kept


def test_the_last_acknowledgement_says_all_and_a_rejection_is_kept() -> None:
    assert merged([acknowledge(1, 5), acknowledge(1, 7), acknowledge(1, 7)]) == [acknowledge(1, 7)]
    kept = [acknowledge(1, 7), acknowledge(1, 5), acknowledge(1, 9, reject=True), acknowledge(1, 9)]
    assert merged(kept) == kept


@given(st.lists(st.tuples(st.sampled_from((2, 3)), st.integers(0, 3), st.integers(0, 2))))
def test_every_entry_and_the_highest_commit_arrive_in_order(steps: list) -> None:
    ends, messages = {2: 10, 3: 10}, []
    for to, count, commit in steps:
        messages.append(append(to, ends[to], count, commit))
        ends[to] += count
    found = merged(messages)
    for to in (2, 3):
        before = [message for message in messages if message.to == to]
        after = [message for message in found if message.to == to]
        assert sum((message.entries for message in after), ()) == sum((message.entries for message in before), ())
        assert max((message.commit for message in after), default=0) == max((message.commit for message in before), default=0)
        assert len(after) <= 1
