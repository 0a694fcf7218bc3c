"""Messages of one step that say the same in fewer: what arrives together need not be taken apart again.

Appends that follow one another are one append; of acknowledgements without a rejection the last says all. The receiver comes to the same
state, and answers once.
"""

from collections.abc import Iterable

from kubesim.etcd.raft.messages import APPEND, APPEND_RESPONSE, Message


def merged(messages: Iterable[Message]) -> list[Message]:
    """Return messages that have the effect of these, in the same order for each receiver. O(messages + entries)."""
    found: list[Message] = []
    last: dict[int, int] = {}  # receiver -> the place of the last message to it
    for message in messages:
        place = last.get(message.to)
        if place is not None:
            before = found[place]
            if before.type == message.type and before.term == message.term:
                if message.type == APPEND and message.index == before.index + len(before.entries):
                    entries, commit = before.entries + message.entries, max(before.commit, message.commit)
                    found[place] = before._replace(entries=entries, commit=commit)
                    continue
                if message.type == APPEND_RESPONSE and not before.reject and not message.reject and message.index >= before.index:
                    found[place] = message
                    continue
        last[message.to] = len(found)
        found.append(message)
    return found
