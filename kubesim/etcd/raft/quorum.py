"""Majorities, and joint majorities: which index is committed, which vote is won.

A configuration is (incoming, outgoing), two collections of voter ids; an empty half is always content. The rule for one half of
n voters: the index that at least n//2 + 1 of them have acknowledged. Upstream: raft/quorum.
"""

from collections.abc import Collection, Mapping

WON = "won"
LOST = "lost"
PENDING = "pending"
INFINITY = (1 << 64) - 1

Voters = tuple[Collection[int], Collection[int]]


def majority_size(voter_count: int) -> int:
    """Return how many of ``voter_count`` voters decide: 1 of 1, 2 of 2 and 3, 3 of 4 and 5."""
    return voter_count // 2 + 1


def tolerated_failures(voter_count: int) -> int:
    """Return how many of ``voter_count`` members may fail: (n - 1) // 2, so an even member adds nothing."""
    return voter_count - majority_size(voter_count) if voter_count else 0


def majority_committed(voters: Collection[int], acked: Mapping[int, int]) -> int:
    """Return the largest index that a majority acknowledged; INFINITY for no voters, 0 for who did not acknowledge."""
    if not voters:
        return INFINITY
    indexes = sorted(acked.get(voter, 0) for voter in voters)
    return indexes[len(indexes) - majority_size(len(indexes))]


def majority_vote(voters: Collection[int], votes: Mapping[int, bool]) -> str:
    """Return WON, LOST or PENDING; an empty half is won."""
    if not voters:
        return WON
    granted = sum(1 for voter in voters if votes.get(voter) is True)
    missing = sum(1 for voter in voters if voter not in votes)
    needed = majority_size(len(voters))
    if granted >= needed:
        return WON
    return PENDING if granted + missing >= needed else LOST


def committed_index(voters: Voters, acked: Mapping[int, int]) -> int:
    """Return the index committed by both halves."""
    return min(majority_committed(voters[0], acked), majority_committed(voters[1], acked))


def vote_result(voters: Voters, votes: Mapping[int, bool]) -> str:
    """Return WON when both halves are won, LOST when one is lost, else PENDING."""
    first, second = majority_vote(voters[0], votes), majority_vote(voters[1], votes)
    if first == second:
        return first
    return LOST if LOST in (first, second) else PENDING
