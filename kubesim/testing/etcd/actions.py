"""What a step of a schedule does: an operation of a client, a fault of a member, link, disk or clock, a change of membership.

``ACTIONS`` maps the kind of a step to its function; every function takes any target and key, so that a schedule can be drawn, cut and
changed freely. ``OPERATIONS`` are those that harm nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kubesim.etcd.kv import PutRequest, RangeRequest
from kubesim.etcd.txn import TxnRequest
from kubesim.kernel.network import LinkProfile
from kubesim.kernel.time import MILLISECOND, SECOND
from kubesim.testing.etcd.histories import RecordedWatch
from kubesim.testing.etcd.reference import SKEW_PPM_MAX

if TYPE_CHECKING:
    from kubesim.testing.etcd.schedules import Run, Step

KEYS = (b"a", b"b", b"c")
LEASED_KEYS = (b"leased/1", b"leased/2")
PAIR = (b"pair/1", b"pair/2")
MEMBERS_MAX = 7

# -- clients


def _newest(run: Run, key: bytes) -> int:
    """The mod revision of a key by the reference: what a client that had just read would use."""
    record = run.checks.reference.state.store.get(key)
    return 0 if record is None else record.mod_revision


def _key(step: Step) -> bytes:
    return KEYS[step.key % len(KEYS)]


def _put(run: Run, step: Step) -> None:
    run.linear(step, "put", _key(step), run.recorder.new_value())


def _put_if(run: Run, step: Step) -> None:
    stale = step.key // len(KEYS) % 2
    run.linear(step, "put_if", _key(step), run.recorder.new_value(), max(_newest(run, _key(step)) - stale, 0))


def _delete_if(run: Run, step: Step) -> None:
    revision = _newest(run, _key(step))
    if revision:
        run.linear(step, "delete_if", _key(step), revision)


def _get(run: Run, step: Step) -> None:
    run.linear(step, "get", _key(step))


def _get_everywhere(run: Run, step: Step) -> None:
    """Every client at once."""
    for number, client in enumerate(run.clients):
        run.recorder.submit(number, client, ("get", _key(step)))


def _put_everywhere(run: Run, step: Step) -> None:
    """Every client at once."""
    for number, client in enumerate(run.clients):
        run.recorder.submit(number, client, ("put", _key(step), run.recorder.new_value()))


def _read_locally(run: Run, step: Step) -> None:
    run.linear(step, "get", _key(step), serializable=True)


def _grant(run: Run, step: Step) -> None:
    run.send(step, "grant", 2 + step.key % 3, then=run.leases.append)


def _put_leased(run: Run, step: Step) -> None:
    """Which key by the lowest bit of ``key``, which lease by the others: a lease has both keys sometimes."""
    run.send(step, "put", LEASED_KEYS[step.key % len(LEASED_KEYS)], run.recorder.new_value(), run.lease(step))


def _keep_alive(run: Run, step: Step) -> None:
    run.send(step, "keep_alive", run.lease(step))


def _revoke(run: Run, step: Step) -> None:
    run.send(step, "revoke", run.lease(step))


def _put_pair(run: Run, step: Step) -> None:
    """Two keys in one revision."""
    value = run.recorder.new_value()
    run.send(step, "txn", TxnRequest((), tuple(PutRequest(key, value) for key in PAIR)))


def _read_and_put(run: Run, step: Step) -> None:
    """A write that also reads an old revision: it may be compacted by the time that it is executed."""
    old = max(run.checks.reference.state.store.revision - step.key, 1)
    operations = (RangeRequest(b"a", b"z", revision=old), PutRequest(PAIR[0], run.recorder.new_value()))
    run.send(step, "txn", TxnRequest((), operations))


def _compact(run: Run, step: Step) -> None:
    run.send(step, "compact", max(run.checks.reference.state.store.revision - step.key, 1))


def _watch(run: Run, step: Step) -> None:
    start = max(run.checks.reference.state.store.revision - step.key + 2, 1)
    run.watches.append(RecordedWatch(run.client(step.target)[1], b"a", b"z", start))


# -- faults


def _kill(run: Run, step: Step) -> None:
    run.cluster.kill(run.host(step.target))


def _power_off(run: Run, step: Step) -> None:
    run.cluster.power_off(run.host(step.target))


def _restart(run: Run, step: Step) -> None:
    """The n-th member; 0: all that are down."""
    for host in run.cluster.hosts if step.target == 0 else [run.host(step.target)]:
        run.cluster.restart(host)


def _crash_all(run: Run, step: Step) -> None:
    for host in run.cluster.hosts:
        run.cluster.power_off(host)
    for host in run.cluster.hosts:
        run.cluster.restart(host)


def _pause(run: Run, step: Step) -> None:
    run.cluster.pause(run.host(step.target))


def _resume(run: Run, step: Step) -> None:
    """The n-th member; 0: all."""
    for host in run.cluster.hosts if step.target == 0 else [run.host(step.target)]:
        run.cluster.resume(host)


def _freeze(run: Run, step: Step) -> None:
    """Stop a member and lose what it is sent, as when a virtual machine is moved; its own client reaches it once it goes on."""
    _isolate(run, step)
    _pause(run, step)


def _isolate(run: Run, step: Step) -> None:
    """Alone, with its own client."""
    _cut_off(run, [run.host(step.target)])


def _minority(run: Run, step: Step) -> None:
    """The leader and the n-th member, with their own clients."""
    _cut_off(run, [run.host(0), run.host(step.target)])


def _cut_off(run: Run, hosts: list[str]) -> None:
    numbers = [run.cluster.hosts.index(host) + 1 for host in hosts]
    run.cluster.partition([*dict.fromkeys(hosts), *(f"client-{number}" for number in dict.fromkeys(numbers) if number < len(run.clients))])


def _partition(run: Run, step: Step) -> None:
    """Two groups, by the bits of target and key."""
    bits = step.target + 8 * step.key
    groups: tuple[list[str], list[str]] = ([], [])
    for position, host in enumerate(run.cluster.hosts):
        side = bits >> position & 1
        groups[side].append(host)
        if position + 1 < len(run.clients):
            groups[side].append(f"client-{position + 1}")
    run.cluster.partition(groups[1])


def _cut_one_way(run: Run, step: Step) -> None:
    """From a member to another, or, with an odd key, the other way."""
    one, other = run.host(step.target), run.host(1 + step.key // 2)
    if one != other:
        run.cluster.cut(*((other, one) if step.key % 2 else (one, other)), one_way=True)


def _mend(run: Run, step: Step) -> None:
    run.cluster.network.heal()


def _stall_disk(run: Run, step: Step) -> None:
    run.cluster.stall_disk(run.host(step.target), (step.key + 1) * 700 * MILLISECOND)


def _slow_disk(run: Run, step: Step) -> None:
    run.cluster.slow_disk(run.host(step.target), (1, 20, 120, 400)[step.key % 4] * MILLISECOND)


def _skew(run: Run, step: Step) -> None:
    rate_ppm = (-SKEW_PPM_MAX, SKEW_PPM_MAX, 0, -SKEW_PPM_MAX // 2)[step.key % 4]
    run.cluster.skew(run.host(step.target), rate_ppm, (step.key - 2) * 3600 * SECOND)


def _bad_links(run: Run, step: Step) -> None:
    percent = (0, 5, 30, 60)[step.key % 4] / 100
    run.cluster.set_links(
        LinkProfile(MILLISECOND, 30 * MILLISECOND if step.key else 0, percent, percent / 10, percent / 2)
    )  # more copies would breed


def _move_leader(run: Run, step: Step) -> None:
    leader = run.cluster.leader
    if leader is not None:
        target = run.cluster.member(run.host(1 + step.key)).member_id
        run.cluster.machines[leader.name].service.submit(("move_leader", target), lambda answer, error: None)


# -- members


def _add_learner(run: Run, step: Step) -> None:
    _add(run, step, is_learner=True)


def _add_voter(run: Run, step: Step) -> None:
    _add(run, step, is_learner=False)


def _add(run: Run, step: Step, is_learner: bool) -> None:
    host = f"etcd-{len(run.cluster.hosts) + 1}"
    if len(run.cluster.hosts) < MEMBERS_MAX and host not in run.cluster.machines:

        def added(members: Any) -> None:
            info = next((member for member in members if member.host == host), None)
            if info is not None and host not in run.cluster.machines:
                run.cluster.add_member(info.member_id, host, members)
                run.clients[0].endpoints.append(host)

        run.send(step, "member_add", host, is_learner, then=added)


def _promote(run: Run, step: Step) -> None:
    leader = run.cluster.leader
    learner = next((member for member in run.checks.raft.members.values() if member.is_running and member.node.raft.learner), None)
    if leader is not None and learner is not None:
        run.cluster.machines[leader.name].service.submit(("member_promote", learner.member_id), lambda answer, error: None)


def _remove(run: Run, step: Step) -> None:
    """Not one of two: when the other has not heard that its removal is committed, it waits for a majority of two for ever, as in etcd."""
    leader = run.cluster.leader
    if leader is None or len(leader.node.raft.tracker.config.incoming) < 3:
        return
    run.send(step, "member_remove", run.cluster.member(run.host(step.target)).member_id)


def _wait(run: Run, step: Step) -> None:
    pass


ACTIONS: dict[str, Callable[[Run, Step], None]] = {
    "wait": _wait,
    "put": _put,
    "get": _get,
    "put_if": _put_if,
    "delete_if": _delete_if,
    "get_everywhere": _get_everywhere,
    "put_everywhere": _put_everywhere,
    "read_locally": _read_locally,
    "grant": _grant,
    "put_leased": _put_leased,
    "keep_alive": _keep_alive,
    "revoke": _revoke,
    "put_pair": _put_pair,
    "read_and_put": _read_and_put,
    "compact": _compact,
    "watch": _watch,
    "kill": _kill,
    "power_off": _power_off,
    "restart": _restart,
    "crash_all": _crash_all,
    "pause": _pause,
    "resume": _resume,
    "freeze": _freeze,
    "isolate": _isolate,
    "minority": _minority,
    "partition": _partition,
    "cut_one_way": _cut_one_way,
    "mend": _mend,
    "stall_disk": _stall_disk,
    "slow_disk": _slow_disk,
    "skew": _skew,
    "bad_links": _bad_links,
    "move_leader": _move_leader,
    "add_learner": _add_learner,
    "add_voter": _add_voter,
    "promote": _promote,
    "remove": _remove,
}

OPERATIONS = (
    "put",
    "get",
    "get_everywhere",
    "put_everywhere",
    "put_if",
    "delete_if",
    "read_locally",
    "grant",
    "put_leased",
    "keep_alive",
    "revoke",
    "put_pair",
    "read_and_put",
    "compact",
    "watch",
)
FAULTS = tuple(kind for kind in ACTIONS if kind not in OPERATIONS and kind != "wait")
