"""The links between nodes: what is cut stays cut until it is mended."""

import pytest

from kubesim.network.links import NodeLinks


def test_a_partition_cuts_between_groups_only_and_heals() -> None:
    links = NodeLinks()
    links.partition(["a", "b"], ["c"])
    assert [links.is_cut("a", "c"), links.is_cut("c", "b"), links.is_cut("a", "b")] == [True, True, False]
    links.mend("a", "c")
    assert [links.is_cut("a", "c"), links.is_cut("c", "a")] == [False, True]
    links.heal()
    assert not links.is_cut("c", "b")


def test_latency_is_both_ways_and_nothing_on_one_node() -> None:
    links = NodeLinks(latency_ns=5)
    links.set_latency("a", "b", 7)
    assert [links.latency_ns(*pair) for pair in (("a", "b"), ("b", "a"), ("a", "c"), ("a", "a"))] == [7, 7, 5, 0]
    with pytest.raises(ValueError, match="latency_ns: -1: expected 0 or more"):
        links.set_latency("a", "b", -1)
