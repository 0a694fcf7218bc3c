"""How connections are spread, how backends are judged, and who holds the virtual address."""

import pytest

from kubesim.cloud.balancing import LEAST_CONNECTIONS, ROUND_ROBIN, SOURCE_HASH, Health, HealthCheck, choose
from kubesim.cloud.load_balancer import LoadBalancer, VirtualAddress
from kubesim.cloud.vrrp import Vrrp, VrrpSettings
from kubesim.kernel import Kernel, LinkProfile, Network
from kubesim.kernel.time import MILLISECOND, SECOND

CHOSEN = [  # algorithm, healthy, connections -> the backends of four connections in turn
    (ROUND_ROBIN, "abc", {}, "abca"),
    (ROUND_ROBIN, "ac", {}, "acac"),
    (LEAST_CONNECTIONS, "abc", {"a": 5, "b": 1, "c": 2}, "bbbb"),
    (LEAST_CONNECTIONS, "abc", {"a": 1, "b": 1, "c": 1}, "abca"),
    (ROUND_ROBIN, "", {}, "----"),
]


@pytest.mark.parametrize(("algorithm", "healthy", "connections", "expected"), CHOSEN)
def test_a_backend_is_chosen(algorithm: str, healthy: str, connections: dict, expected: str) -> None:
    assert "".join(choose(algorithm, healthy, turn, "client", connections) or "-" for turn in range(4)) == expected


def test_a_source_keeps_its_backend_while_the_healthy_ones_stay() -> None:
    sources = [f"10.0.0.{number}" for number in range(60)]
    chosen = {source: choose(SOURCE_HASH, "abc", 0, source, {}) for source in sources}
    assert chosen == {source: choose(SOURCE_HASH, "abc", 7, source, {"a": 9}) for source in sources}
    assert sorted(set(chosen.values())) == ["a", "b", "c"]


@pytest.mark.parametrize(("rise", "fall"), [(1, 1), (2, 3), (3, 5)])
def test_a_backend_changes_sides_after_rise_or_fall_checks_in_a_row(rise: int, fall: int) -> None:
    health = Health(HealthCheck(rise=rise, fall=fall))
    for results in ([False] * (fall - 1) + [True]) * 3:
        assert not health.note(results) and health.is_up
    assert [health.note(False) for _ in range(fall)] == [False] * (fall - 1) + [True]
    assert not health.is_up
    assert [health.note(True) for _ in range(rise)] == [False] * (rise - 1) + [True]
    assert health.is_up


def test_settings_that_cannot_work_are_refused() -> None:
    for make, text in (
        (lambda: HealthCheck(fall=0), "fall is 0; expected at least 1"),
        (lambda: VrrpSettings(priority=255), "priority is 255; expected 1 to 254"),
        (lambda: VrrpSettings(interval_ns=0), "interval_ns is 0"),
        (lambda: LoadBalancer(Kernel(), None, "lb", ["a"], None, algorithm="random"), "algorithm is 'random'; expected one of round-robin"),
        (lambda: LoadBalancer(Kernel(), None, "lb", [], None), "backends is empty"),
    ):
        with pytest.raises(ValueError, match=text):
            make()


# -- VRRP: RFC 5798, section 6.4


def test_a_silent_master_is_believed_in_for_three_intervals_and_the_skew() -> None:
    for priority, expected_ns in ((254, 3_007_812_500), (100, 3_609_375_000), (1, 3_996_093_750)):
        backup = Vrrp(VrrpSettings(priority), now_ns=0)
        assert backup.deadline_ns == expected_ns
        assert not backup.expire(expected_ns - 1) and not backup.is_master
        assert backup.expire(expected_ns) and backup.is_master
        assert backup.deadline_ns == expected_ns + SECOND


def test_advertisements_keep_a_backup_back_by_priority() -> None:
    backup = Vrrp(VrrpSettings(100), now_ns=0)
    assert not backup.hear(101, False, SECOND)
    assert backup.deadline_ns == SECOND + backup.settings.down_ns
    backup.hear(99, False, 2 * SECOND)
    assert backup.deadline_ns == SECOND + backup.settings.down_ns, "a lower one is not heard: it preempts"
    polite = Vrrp(VrrpSettings(100, preempt=False), now_ns=0)
    polite.hear(99, False, 2 * SECOND)
    assert polite.deadline_ns == 2 * SECOND + polite.settings.down_ns
    backup.hear(0, False, 3 * SECOND)
    assert backup.deadline_ns == 3 * SECOND + backup.settings.skew_ns, "a farewell: only the skew is waited"


def test_of_two_masters_the_higher_stays() -> None:
    master = Vrrp(VrrpSettings(100), now_ns=0)
    master.expire(master.deadline_ns)
    assert not master.hear(99, True, 4 * SECOND) and master.is_master
    assert master.hear(0, True, 4 * SECOND) and master.is_master, "answers a farewell with an advertisement"
    assert not master.hear(100, False, 5 * SECOND) and master.is_master, "between equals the higher address"
    assert not master.hear(100, True, 5 * SECOND) and not master.is_master


# -- two balancers on a network


class World:
    """Two balancers, three backends that answer with their names, and a client."""

    def __init__(self) -> None:
        self.kernel = Kernel(1)
        self.network = Network(self.kernel, LinkProfile(latency_ns=MILLISECOND))
        self.address = VirtualAddress(self.kernel, "lb-1")
        self.ready = {"a": True, "b": True, "c": True}
        self.got: list[tuple] = []
        for name in self.ready:
            self.network.add_host(name, self.backend(name))
        self.network.add_host("client", lambda source, message: self.got.append(message))
        self.balancers = [
            LoadBalancer(self.kernel, self.network, host, list(self.ready), self.address, peers=[other], vrrp=VrrpSettings(priority))
            for host, other, priority in (("lb-1", "lb-2", 101), ("lb-2", "lb-1", 100))
        ]
        for balancer in self.balancers:
            balancer.start()
        self.run(0.5)

    def backend(self, name: str):
        def receive(source: str, message: tuple) -> None:
            if message[0] == "health":
                self.network.send(name, source, ("healthy", message[1], self.ready[name]))
            elif message[0] == "c":
                self.network.send(name, source, ("s", message[1], name))

        return receive

    def run(self, seconds: float) -> None:
        self.kernel.run_due(self.kernel.now_ns + int(seconds * SECOND))

    def ask(self, connection: int, kind: str = "open"):
        self.got.clear()
        self.network.send("client", self.address.holder, ("c", connection, (kind, [])))
        self.run(0.01)
        return [message[2] if message[0] == "s" else message[0] for message in self.got]


def test_connections_are_passed_on_and_stay_where_they_are() -> None:
    w = World()
    assert [w.ask(number) for number in range(1, 5)] == [["a"], ["b"], ["c"], ["a"]]
    assert [w.ask(number, "more") for number in range(1, 5)] == [["a"], ["b"], ["c"], ["a"]]
    assert w.ask(99, "more") == ["closed"], "nobody has opened it here"


def test_a_backend_that_fails_its_checks_loses_its_connections() -> None:
    w = World()
    assert w.ask(1) == ["a"]
    w.got.clear()
    w.ready["a"] = False
    w.run(5)
    assert w.balancers[0].healthy == ["a", "b", "c"], "two checks are not three"
    w.run(2)
    assert w.balancers[0].healthy == ["b", "c"]
    assert w.got == [("closed", 1)]
    assert {w.ask(number)[0] for number in range(2, 8)} == {"b", "c"}
    w.ready["a"] = True
    w.run(4.1)
    assert w.balancers[0].healthy == ["a", "b", "c"]


def test_a_backend_that_is_silent_fails_too_and_without_any_clients_are_refused() -> None:
    w = World()
    for name in w.ready:
        w.network.host_down(name)
    w.run(9)
    assert w.balancers[0].healthy == []
    assert w.ask(1) == ["refused"]


def test_the_address_fails_over_in_the_configured_time_and_comes_back() -> None:
    w = World()
    w.run(4.5)
    assert w.address.holder == "lb-1"
    last_advertisement_ns = w.kernel.now_ns // SECOND * SECOND
    w.balancers[0].stop()
    w.network.host_down("lb-1")
    w.run(4)
    (moved_ns, holder), *_ = w.address.moves
    assert holder == "lb-2"
    assert moved_ns == last_advertisement_ns + MILLISECOND + 3_609_375_000, "three intervals and the skew after the last one heard"
    assert w.ask(1, "more") == ["closed"], "the other balancer does not know the connection"
    assert w.ask(2) == ["a"]
    w.network.host_up("lb-1")
    w.balancers[0].start()
    w.run(4)
    assert w.address.holder == "lb-1", "the higher priority takes it back"


def test_a_split_between_balancers_leaves_one_holder_once_it_has_healed() -> None:
    w = World()
    w.network.cut("lb-1", "lb-2")
    w.run(6)
    assert [balancer._vrrp.is_master for balancer in w.balancers] == [True, True]
    w.network.mend("lb-1", "lb-2")
    w.run(3)
    assert [balancer._vrrp.is_master for balancer in w.balancers] == [True, False]
    assert w.address.holder == "lb-1"


@pytest.mark.parametrize(("alone", "holder"), [("lb-1", "lb-2"), ("lb-2", "lb-1")])
def test_a_balancer_that_is_cut_off_takes_the_address_from_nobody(alone: str, holder: str) -> None:
    w = World()
    w.run(2)
    w.network.partition([alone])
    w.run(6)
    assert [balancer._vrrp.is_master for balancer in w.balancers] == [True, True]
    w.run(5)
    assert w.address.holder == holder
    w.network.heal()
    w.run(3)
    assert w.address.holder == "lb-1"


def test_a_paused_balancer_goes_on_with_what_has_waited() -> None:
    w = World()
    w.balancers[0].pause()
    assert w.ask(1) == []
    w.balancers[0].resume()
    w.run(0.01)
    assert [message[2] for message in w.got if message[0] == "s"] == ["a"]
