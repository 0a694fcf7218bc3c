"""The network: order, faults, partitions and the account of every message."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from kubesim.drive import virtual
from kubesim.kernel import EPOCH_NS, MILLISECOND, SECOND, Kernel, LinkProfile, Network

HOSTS = ("a", "b", "c", "d")
PROBABILITIES = st.sampled_from([0.0, 0.0, 0.1, 0.5, 1.0])


class World:
    """Four hosts that write down what they get: (ns since the start, source, destination, message)."""

    def __init__(self, profile: LinkProfile | None = None, seed: int = 0, shuffle_ties: bool = False) -> None:
        self.kernel = Kernel(seed, shuffle_ties=shuffle_ties)
        self.network = Network(self.kernel, profile)
        self.seen: list[tuple[int, str, str, Any]] = []
        for host in HOSTS:
            self.network.add_host(host, self.receiver(host))

    def receiver(self, host: str) -> Callable[[str, Any], None]:
        return lambda source, message: self.seen.append((self.kernel.now_ns - EPOCH_NS, source, host, message))

    def burst(self, count: int, source: str = "a", destination: str = "b") -> list[Any]:
        for number in range(count):
            self.network.send(source, destination, number)
        virtual.run(self.kernel)
        return [message for _, _, _, message in self.seen]


def test_a_message_arrives_after_the_latency() -> None:
    world = World(LinkProfile(latency_ns=MILLISECOND))
    world.network.send("a", "b", "x")
    assert world.seen == []
    virtual.run(world.kernel)
    assert world.seen == [(MILLISECOND, "a", "b", "x")]


@pytest.mark.parametrize("shuffle_ties", [False, True])
@pytest.mark.parametrize("jitter_ns", [0, 5, MILLISECOND])
def test_a_link_keeps_the_order(jitter_ns: int, shuffle_ties: bool) -> None:
    world = World(LinkProfile(latency_ns=10, jitter_ns=jitter_ns), shuffle_ties=shuffle_ties)
    assert world.burst(200) == list(range(200))


def test_jitter_is_between_nothing_and_its_bound() -> None:
    world = World(LinkProfile(latency_ns=100, jitter_ns=50))
    for number in range(300):
        world.kernel.after(number * SECOND, world.network.send, "a", "b", number)
    virtual.run(world.kernel)
    delays = {time_ns - message * SECOND for time_ns, _, _, message in world.seen}
    assert min(delays) == 100
    assert max(delays) == 150


@pytest.mark.parametrize(
    ("profile", "holds"),
    [
        (LinkProfile(loss=0.2), lambda seen: 720 < len(seen) < 880 and seen == sorted(set(seen))),
        (LinkProfile(loss=1.0), lambda seen: seen == []),
        (LinkProfile(duplication=0.2), lambda seen: 1120 < len(seen) < 1280 and sorted(set(seen)) == list(range(1000))),
        (LinkProfile(jitter_ns=1000, reorder=0.2), lambda seen: seen != list(range(1000)) and sorted(seen) == list(range(1000))),
    ],
    ids=["loss", "total loss", "duplication", "reorder"],
)
def test_a_fault_shows(profile: LinkProfile, holds: Callable[[list[int]], bool]) -> None:
    assert holds(World(profile).burst(1000))


def test_a_link_profile_may_be_of_one_direction() -> None:
    world = World()
    world.network.set_link("a", "b", LinkProfile(latency_ns=7), one_way=True)
    world.network.send("a", "b", 1)
    world.network.send("b", "a", 2)
    virtual.run(world.kernel)
    assert world.seen == [(0, "b", "a", 2), (7, "a", "b", 1)]


REACH = [
    ("nothing", lambda network: None, "ab ba ac ca bc cb"),
    ("cut", lambda network: network.cut("a", "b"), "ac ca bc cb"),
    ("cut one way", lambda network: network.cut("a", "b", one_way=True), "ba ac ca bc cb"),
    ("cut and mend one way", lambda network: (network.cut("a", "b"), network.mend("a", "b", one_way=True)), "ab ac ca bc cb"),
    ("partition", lambda network: network.partition(["a"], ["b", "c"]), "bc cb"),
    ("the rest is a group", lambda network: network.partition(["c"]), "ab ba"),
    ("everybody alone", lambda network: network.partition("a", "b", "c"), ""),
    ("partition replaced", lambda network: (network.partition("a", "b", "c"), network.partition(["a"])), "bc cb"),
    ("healed", lambda network: (network.cut("a", "b"), network.partition("a", "b"), network.heal()), "ab ba ac ca bc cb"),
    ("host down", lambda network: network.host_down("c"), "ab ba"),
    ("heal leaves hosts down", lambda network: (network.host_down("c"), network.heal()), "ab ba"),
    ("host up", lambda network: (network.host_down("c"), network.host_up("c")), "ab ba ac ca bc cb"),
]


@pytest.mark.parametrize(("act", "expected"), [case[1:] for case in REACH], ids=[case[0] for case in REACH])
def test_who_reaches_whom(act: Callable[[Network], object], expected: str) -> None:
    world = World()
    act(world.network)
    pairs = [source + destination for source in "abc" for destination in "abc" if source != destination]
    for source, destination in pairs:
        world.network.send(source, destination, None)
    virtual.run(world.kernel)
    assert sorted(source + destination for _, source, destination, _ in world.seen) == sorted(expected.split())
    assert [pair for pair in pairs if world.network.reaches(*pair)] == sorted(expected.split())


@pytest.mark.parametrize(
    ("at_5", "at_8", "arrives"),
    [
        (lambda network: network.cut("a", "b"), lambda network: None, False),
        (lambda network: network.cut("b", "a", one_way=True), lambda network: None, True),
        (lambda network: network.cut("a", "b"), lambda network: network.mend("a", "b"), True),
        (lambda network: network.partition(["a"]), lambda network: None, False),
        (lambda network: network.host_down("b"), lambda network: None, False),
        (lambda network: network.host_down("b"), lambda network: network.host_up("b"), True),
        (lambda network: network.host_down("a"), lambda network: None, True),
    ],
    ids=["cut", "other way cut", "cut, mended", "partition", "destination down", "destination back", "source down"],
)
def test_what_is_under_way(at_5: Callable[[Network], object], at_8: Callable[[Network], object], arrives: bool) -> None:
    world = World(LinkProfile(latency_ns=10))
    world.network.send("a", "b", "x")
    world.kernel.after(5, at_5, world.network)
    world.kernel.after(8, at_8, world.network)
    virtual.run(world.kernel)
    assert bool(world.seen) == arrives
    assert world.network.counts.lost == (not arrives)


def test_the_seed_decides_everything_and_links_do_not_disturb_one_another() -> None:
    profile = LinkProfile(latency_ns=100, jitter_ns=1000, loss=0.3, duplication=0.3, reorder=0.3)

    def run(seed: int, other_link: bool) -> list[Any]:
        world = World(profile, seed)
        for number in range(100):
            world.kernel.after(10 * number, world.network.send, "a", "b", number)
            if other_link:
                world.kernel.after(10 * number, world.network.send, "b", "c", number)
        virtual.run(world.kernel)
        return [record for record in world.seen if record[2] == "b"]

    assert run(1, False) == run(1, False) == run(1, True)
    assert run(1, False) != run(2, False)


class NetworkMachine(RuleBasedStateMachine):
    """Any faults in any order: nothing is lost from the account, nothing passes that may not."""

    @initialize(loss=PROBABILITIES, duplication=PROBABILITIES, reorder=PROBABILITIES, jitter_ns=st.integers(0, 20), seed=st.integers(0, 9))
    def start(self, loss: float, duplication: float, reorder: float, jitter_ns: int, seed: int) -> None:
        self.world = World(LinkProfile(5, jitter_ns, loss, duplication, reorder), seed)
        self.network = self.world.network

    @rule(source=st.sampled_from(HOSTS), destination=st.sampled_from(HOSTS))
    def send(self, source: str, destination: str) -> None:
        self.network.send(source, destination, self.network.counts.sent)

    @rule(source=st.sampled_from(HOSTS), destination=st.sampled_from(HOSTS), one_way=st.booleans(), cuts=st.booleans())
    def cut_or_mend(self, source: str, destination: str, one_way: bool, cuts: bool) -> None:
        (self.network.cut if cuts else self.network.mend)(source, destination, one_way=one_way)

    @rule(group=st.sets(st.sampled_from(HOSTS)))
    def partition(self, group: set[str]) -> None:
        self.network.partition(sorted(group))

    @rule()
    def heal(self) -> None:
        self.network.heal()

    @rule(host=st.sampled_from(HOSTS), is_up=st.booleans())
    def host(self, host: str, is_up: bool) -> None:
        (self.network.host_up if is_up else self.network.host_down)(host)
        assert self.network.is_up(host) == is_up

    @rule(duration_ns=st.integers(0, 10))
    def wait(self, duration_ns: int) -> None:
        until_ns = self.world.kernel.now_ns + duration_ns
        while (time_ns := self.world.kernel.next_time()) >= 0 and time_ns <= until_ns:
            self.world.kernel.run_due(time_ns, 1)
            for _, source, destination, _ in self.world.seen:
                assert self.network.is_up(destination)
                assert self.network.reaches(source, destination) == self.network.is_up(source)
            self.world.seen.clear()
        self.world.kernel.run_due(until_ns)

    @invariant()
    def every_message_is_accounted_for(self) -> None:
        if hasattr(self, "world"):
            counts = self.network.counts
            assert counts.sent + counts.duplicated == counts.delivered + counts.lost + self.world.kernel.pending_count


TestNetworkMachine = NetworkMachine.TestCase
TestNetworkMachine.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


@given(st.integers(0, 20), st.sampled_from(["latency_ns", "jitter_ns", "loss", "duplication", "reorder"]))
def test_a_bad_profile_is_named(value: int, field: str) -> None:
    with pytest.raises(ValueError, match=f"{field} is -{value + 1}; expected"):
        LinkProfile(**{field: -value - 1})


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda network: network.send("a", "z", 1), "host 'z' does not exist"),
        (lambda network: network.cut("z", "a"), "host 'z' does not exist"),
        (lambda network: network.host_down("z"), "host 'z' does not exist"),
        (lambda network: network.partition(["a", "z"]), "host 'z' does not exist"),
        (lambda network: network.partition(["a"], ["a"]), "host 'a' is in two groups"),
        (lambda network: network.add_host("a", print), "host 'a' exists already"),
    ],
)
def test_bad_input(act: Callable[[Network], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        act(World().network)
