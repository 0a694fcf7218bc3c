"""A cluster of members on the simulated network: what works, what stops working, and how it comes back."""

import pytest

from kubesim.api.errors import ApiError
from kubesim.etcd.client import run
from kubesim.etcd.errors import LeaseNotFound, TooManyOperations, status_of
from kubesim.etcd.kv import PutRequest, RangeRequest
from kubesim.etcd.raft.quorum import majority_size, tolerated_failures
from kubesim.etcd.requests import READS, execute
from kubesim.etcd.state import State
from kubesim.etcd.txn import Compare, TxnRequest
from kubesim.etcd.unavailable import (
    BadTransferee,
    ConnectionLost,
    ConnectionRefused,
    DeadlineExceeded,
    LearnerNotReady,
    LearnerRefuses,
    MemberNotFound,
    NotEnoughStarted,
    NotLeader,
    NotLearner,
    PeerExists,
    RequestTimeout,
    RequestTooLarge,
    TooManyLearners,
)
from kubesim.kernel.time import MILLISECOND, SECOND

MAJORITIES = [(1, 1, 0), (2, 2, 0), (3, 2, 1), (4, 3, 1), (5, 3, 2), (6, 4, 2), (7, 4, 3)]  # members, majority, how many may fail


@pytest.mark.parametrize(("member_count", "majority", "tolerated"), MAJORITIES)
def test_how_many_members_may_fail(world, member_count: int, majority: int, tolerated: int) -> None:
    assert (majority_size(member_count), tolerated_failures(member_count)) == (majority, tolerated)
    w = world(member_count)
    for host in w.cluster.hosts[:tolerated]:
        w.cluster.kill(host)
    w.run(4)
    assert w.ask("put", b"a", 1) == 2, "as many as may fail have failed, and writes go on"
    w.cluster.kill(w.cluster.hosts[tolerated])
    with pytest.raises((RequestTimeout, DeadlineExceeded, ConnectionRefused, ConnectionLost)):
        w.ask("put", b"a", 2)
    if member_count > 1:
        alive = w.cluster.hosts[-1]
        assert w.ask("get", b"a", client=w.service(alive), serializable=True).value == 1, "a local read needs no quorum"
    for host in w.cluster.hosts:
        w.cluster.restart(host)
    w.run(4)
    assert w.ask("put", b"a", 3) > 2


def test_a_leader_that_is_known_to_be_gone_is_replaced_sooner(world) -> None:
    for seed in range(10):
        w = world(3, seed)
        gone, others = w.leader, w.followers
        w.ask("put", b"a", 1)
        w.cluster.member(others[0]).lost(others[1])  # not the leader: nothing happens
        w.run(0.2)
        assert w.leader == gone
        w.cluster.kill(gone)
        for host in others:
            w.cluster.member(host).lost(gone)
        w.run(0.6)
        assert w.cluster.leader is not None, f"seed {seed}"
        assert w.ask("get", b"a").value == 1


def test_a_leader_that_is_taken_for_gone_is_followed_again_or_replaced(world) -> None:
    w = world(3)
    for _ in range(5):
        for host in w.followers:
            w.cluster.member(host).lost(w.leader)
        w.ask("put", b"a", 1)
        w.run(2)
    assert w.ask("put", b"a", 2) == 7


def test_a_killed_leader_is_replaced_in_an_election_timeout(world) -> None:
    spans_ns = []
    for seed in range(10):
        w = world(3, seed)
        killed_ns = w.kernel.now_ns
        w.cluster.kill(w.leader)
        while w.cluster.leader is None:
            w.run(0.01)
        spans_ns.append(w.kernel.now_ns - killed_ns)
    assert all(800 * MILLISECOND <= span_ns <= 4 * SECOND for span_ns in spans_ns)
    assert sorted(spans_ns)[5] <= 1500 * MILLISECOND, "etcd: 1.2 s median"


def test_every_member_answers_the_same(world) -> None:
    w = world(3)
    for number, host in enumerate(w.cluster.hosts):
        assert w.ask("put", b"k", number, client=w.service(host)) == 2 + number
    assert w.ask("put_if", b"k", "new", 1) == 0
    assert w.ask("put_if", b"k", "new", 4) == 5
    for host in w.cluster.hosts:
        assert w.ask("get", b"k", client=w.service(host)).mod_revision == 5
        assert w.ask("range", b"a", b"z", client=w.service(host)).count == 1
    assert w.ask("delete_range", b"a", b"z").deleted == 1


def test_errors_are_those_of_one_member(world) -> None:
    w = world(3)
    with pytest.raises(LeaseNotFound):
        w.ask("put", b"a", 1, 77)
    with pytest.raises(RequestTooLarge):
        w.ask("put", b"a", bytes(1_600_000))
    with pytest.raises(ValueError, match="unknown etcd request 'frob'"):
        w.service(w.leader).submit(("frob",), lambda answer, error: None)


def test_transactions_that_only_read_need_no_place_in_the_log(world) -> None:
    w = world(3)
    write = TxnRequest((Compare(b"a", "VERSION", "EQUAL", 0),), (PutRequest(b"a", "one"),), (RangeRequest(b"a"),))
    assert w.ask("txn", write).succeeded
    assert not w.ask("txn", write).succeeded
    index = w.cluster.leader.node.raft.log.committed
    read = TxnRequest((), (RangeRequest(b"a"), TxnRequest((), (RangeRequest(b"a"),))))
    for host in w.cluster.hosts:
        assert w.ask("txn", read, client=w.service(host)).responses[0].kvs[0].value == "one"
    assert w.cluster.leader.node.raft.log.committed == index
    with pytest.raises(TooManyOperations):
        w.ask("txn", TxnRequest((), (RangeRequest(b"a"),) * 129))
    with pytest.raises(RequestTooLarge):
        w.ask("txn", TxnRequest((), (PutRequest(b"a", bytes(800_000)), PutRequest(b"b", bytes(800_000)))))


def test_an_isolated_leader_answers_no_linearizable_read_and_steps_down(world) -> None:
    w = world(3)
    w.ask("put", b"a", 1)
    old = w.leader
    w.cluster.partition([old])
    w.run(0.3)
    assert w.cluster.member(old).is_leader, "it does not know yet"
    with pytest.raises(RequestTimeout):
        w.ask("get", b"a", client=w.service(old))
    assert not w.cluster.member(old).is_leader
    assert w.ask("put", b"a", 2, client=w.service(w.leader)) == 3
    assert w.ask("get", b"a", client=w.service(old), serializable=True).value == 1, "stale, and said to be"
    w.cluster.heal()
    w.run(1)
    assert w.ask("get", b"a", client=w.service(old)).value == 2


def test_an_isolated_member_comes_back_without_a_new_term(world) -> None:
    w = world(3)
    term = w.cluster.leader.node.raft.term
    w.cluster.partition([w.followers[0]])
    w.run(20)
    w.cluster.heal()
    w.run(3)
    assert w.cluster.leader.node.raft.term == term, "pre-vote"


def test_a_member_far_behind_gets_a_snapshot_with_its_leases(world) -> None:
    w = world(3, snapshot_count=20, catch_up_count=5)
    behind = w.followers[0]
    lease = w.ask("grant", 60)
    w.cluster.power_off(behind)
    for number in range(60):
        w.ask("put", b"k%d" % (number % 7), number, lease if number % 2 else 0, client=w.service(w.leader))
    w.ask("compact", 40, client=w.service(w.leader))
    w.cluster.restart(behind)
    w.run(2)
    member = w.cluster.member(behind)
    assert member.disk.storage.first_index > 20
    w.checks.reference.check_member(member)
    assert lease in member.state.leases
    w.ask("revoke", lease)
    w.checks.reference.check_member(member)


def test_what_was_answered_survives_a_power_cut_of_all(world) -> None:
    w = world(5)
    for number in range(30):
        w.ask("put", b"k%d" % number, number)
    for host in w.cluster.hosts:
        w.cluster.power_off(host)
    for host in w.cluster.hosts:
        w.cluster.restart(host)
    w.run(3)
    assert w.ask("range", b"k", b"l").count == 30


# -- leases


def test_a_lease_ends_at_the_leader_and_everywhere(world) -> None:
    w = world(3)
    lease = w.ask("grant", 5)
    w.ask("put", b"a", 1, lease)
    w.ask("put", b"b", 1, lease)
    w.run(3)
    for host in w.cluster.hosts:
        assert w.ask("keep_alive", lease, client=w.service(host)) == 5, "followers forward"
    assert w.ask("time_to_live", lease)[:2] == (4, 5)
    w.run(4.5)
    assert w.ask("get", b"a") is not None
    w.run(1.2)
    revision = w.ask("count", b"a", b"c")
    assert revision == 0
    assert w.cluster.leader.state.store.revision == 4, "one revision for both"
    assert w.ask("keep_alive", lease) == 0
    assert w.ask("time_to_live", lease) == (-1, 0, [])


def test_a_new_leader_starts_leases_over(world) -> None:
    w = world(3)
    lease = w.ask("grant", 5)
    w.ask("put", b"a", 1, lease)
    w.run(4)
    w.cluster.kill(w.leader)
    w.run(5)
    assert w.ask("get", b"a", client=w.service(w.leader)) is not None
    w.run(4)
    assert w.ask("get", b"a", client=w.service(w.leader)) is None


def test_a_leader_that_was_stopped_asks_before_it_revokes(world) -> None:
    w = world(3)
    lease = w.ask("grant", 3)
    w.ask("put", b"a", 1, lease)
    old = w.leader
    w.cluster.pause(old)
    w.run(4)
    assert w.leader != old or w.cluster.leader.is_paused
    new = next(host for host in w.cluster.hosts if host != old and w.cluster.member(host).is_leader)
    assert w.ask("keep_alive", lease, client=w.service(new)) == 3
    w.cluster.resume(old)
    w.run(1)
    assert w.ask("get", b"a") is not None


# -- members


def test_members_come_and_go(world) -> None:
    w = world(3)
    w.ask("put", b"a", 1)
    with pytest.raises(PeerExists):
        w.ask("member_add", "etcd-1")
    members = w.ask("member_add", "etcd-4", True)
    new = next(member for member in members if member.host == "etcd-4")
    with pytest.raises(TooManyLearners):
        w.ask("member_add", "etcd-9", True)
    with pytest.raises(LearnerNotReady):
        w.ask("member_promote", new.member_id, client=w.service(w.leader))
    w.cluster.add_member(new.member_id, "etcd-4", members)
    w.run(2)
    learner = w.service("etcd-4")
    with pytest.raises(LearnerRefuses):
        w.ask("put", b"a", 2, client=learner)
    with pytest.raises(LearnerRefuses):
        w.ask("get", b"a", client=learner)
    assert w.ask("get", b"a", client=learner, serializable=True).value == 1
    with pytest.raises(NotLeader):
        w.ask("member_promote", new.member_id, client=w.service(w.followers[0]))
    w.ask("member_promote", new.member_id, client=w.service(w.leader))
    assert w.ask("put", b"a", 2, client=learner) == 3
    with pytest.raises(NotLearner):
        w.ask("member_promote", new.member_id)
    old = w.leader
    w.ask("member_remove", w.cluster.member(old).member_id)
    w.run(4)
    assert w.cluster.member(old).is_removed and not w.cluster.member(old).is_running
    assert w.ask("put", b"a", 3, client=w.service(w.leader)) == 4
    assert sorted(member.name for member in w.ask("member_list", client=w.service(w.leader))) == sorted(
        {"etcd-1", "etcd-2", "etcd-3", "etcd-4"} - {old}
    )
    with pytest.raises(MemberNotFound):
        w.ask("member_remove", w.cluster.member(old).member_id, client=w.service(w.leader))


def test_a_change_that_would_leave_no_quorum_of_started_members_is_refused(world) -> None:
    w = world(2)
    w.ask("member_add", "etcd-3")
    with pytest.raises(NotEnoughStarted):
        w.ask("member_add", "etcd-4")
    with pytest.raises(NotEnoughStarted):
        w.ask("member_remove", w.cluster.member("etcd-2").member_id)


def test_leadership_moves_on_request(world) -> None:
    w = world(3)
    old, new = w.leader, w.followers[1]
    with pytest.raises(NotLeader):
        w.ask("move_leader", 1, client=w.service(new))
    with pytest.raises(BadTransferee):
        w.ask("move_leader", 1, client=w.service(old))
    w.ask("move_leader", w.cluster.member(new).member_id, client=w.service(old))
    assert w.leader == new
    assert w.ask("status", client=w.service(old))["leader"] == w.cluster.member(new).member_id
    w.ask("move_leader", w.cluster.member(new).member_id, client=w.service(new))


# -- clients


def test_a_client_asks_another_member_when_one_does_not_listen(world) -> None:
    w = world(3)
    w.cluster.kill(w.followers[0])
    assert [w.ask("put", b"a", number) for number in range(6)] == list(range(2, 8))


def test_a_write_whose_outcome_is_unknown_is_not_repeated(world) -> None:
    w = world(3)
    host = w.followers[0]
    only = w.cluster.client("only", [host])
    answers = []
    w.cluster.cut(w.leader, host, one_way=True)  # the write is forwarded and takes effect, and the member does not hear of it
    only.submit(("put", b"a", 1), lambda answer, error: answers.append(error))
    w.run(0.5)
    w.cluster.kill(host)
    w.run(3)
    assert [type(error) for error in answers] == [ConnectionLost]
    assert answers[0].is_unknown and status_of(answers[0])[0] == 14
    assert w.ask("get", b"a").version == 1
    answers.clear()
    w.cluster.pause(w.leader)
    patient = w.cluster.client("patient", [w.leader], timeout_ns=SECOND)
    patient.submit(("put", b"a", 2), lambda answer, error: answers.append(error))
    w.run(2)
    assert [type(error) for error in answers] == [DeadlineExceeded]


def test_a_watch_goes_on_at_another_member(world) -> None:
    w = world(3, progress_ns=SECOND)
    seen = []
    watch = w.client.watch(b"a", b"b", 1, lambda changes, revision: seen.extend(change.value for change in changes))
    w.ask("put", b"a", 1)
    w.run(0.1)
    for number in range(2, 7):
        w.cluster.power_off(watch.endpoint) if number % 2 else w.cluster.kill(watch.endpoint)
        w.run(3)
        w.ask("put", b"a", number, client=w.service(w.leader))
        w.ask("put", b"b", number, client=w.service(w.leader))
        for host in w.cluster.hosts:
            w.cluster.restart(host)
        w.run(4)
    assert seen == [1, 2, 3, 4, 5, 6]
    watch.cancel()
    w.ask("put", b"a", 7)
    w.run(1)
    assert seen[-1] == 6


def test_a_watch_outlives_a_snapshot_and_ends_when_its_start_is_compacted(world) -> None:
    w = world(3, snapshot_count=10, catch_up_count=2, progress_ns=SECOND)
    behind = w.followers[0]
    client = w.cluster.client("only", [behind])
    seen, ended = [], []
    for start in (1, 4):
        client.watch(b"a", None, start, lambda changes, revision: seen.extend(change.value for change in changes), ended.append)
    w.ask("put", b"a", 1)
    w.run(0.1)
    w.cluster.partition([behind, "only"])
    for number in range(2, 40):
        w.ask("put", b"a", number, client=w.service(w.leader))
    w.cluster.heal()
    w.run(3)
    assert sorted(seen) == sorted([*range(1, 40), *range(3, 40)])
    w.cluster.partition([behind, "only"])
    for number in range(40, 60):
        w.ask("put", b"a", number, client=w.service(w.leader))
    w.ask("compact", 55, client=w.service(w.leader))
    w.cluster.heal()
    w.run(5)
    assert [status_of(error)[1] for error in ended] == ["etcdserver: mvcc: required revision has been compacted"] * 2
    assert [error.compact_revision for error in ended] == [55, 55]


def test_a_stopped_client_gives_up_in_its_own_time(world) -> None:
    w = world(1)
    w.cluster.power_off("etcd-1")
    with pytest.raises(DeadlineExceeded):
        w.ask("get", b"a")


def test_no_client_without_endpoints(world) -> None:
    with pytest.raises(ValueError, match="endpoints is empty"):
        world(1).cluster.client("lost", [])


# -- an apiserver's verbs


class Facade:
    """What an apiserver asks of the etcd that it reads from: the member on its own host."""

    def __init__(self, member) -> None:
        self.state: State = member.state

    @property
    def store(self):
        return self.state.store

    def execute(self, request):
        assert request[0] in READS, "answers to writes come from the quorum"
        return execute(self.state, 0, request)  # what it lists at its start


def test_the_verbs_of_an_apiserver_run_over_a_cluster(world) -> None:
    from kubesim.apiserver.requests import Request
    from kubesim.apiserver.server import ApiServer

    w = world(3)
    server = ApiServer(w.kernel, Facade(w.cluster.leader), bootstrap=False)
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "namespace": "default"}, "data": {"a": "1"}}

    def ask(*arguments, **options):
        answers = []
        verb = server.handle(Request(*arguments, **options))
        run(verb, w.client.submit, lambda answer, error: answers.append((answer, error)))
        w.run(1)
        answer, error = answers[0]
        if error is not None:
            raise error
        return answer

    created = ask("create", "namespaces", "", "default", obj={"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}})
    assert created["metadata"]["name"] == "default"
    made = ask("create", "configmaps", "default", "settings", obj=body)
    assert made["metadata"]["resourceVersion"] == "3"
    with pytest.raises(ApiError) as refused:
        ask("create", "configmaps", "default", "settings", obj=body)
    assert refused.value.code == 409
    assert ask("get", "configmaps", "default", "settings")["data"] == {"a": "1"}
    ask("delete", "configmaps", "default", "settings")
    for host in w.cluster.hosts:
        assert w.cluster.member(host).state.store.revision == 4
