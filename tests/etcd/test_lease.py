"""Leases on a local etcd, in virtual time."""

import pytest

from kubesim.etcd.errors import LeaseExists, LeaseNotFound, LeaseTtlTooLarge, status_of
from kubesim.etcd.lease import KEYS_SWEPT_MIN
from kubesim.etcd.local import LocalEtcd
from kubesim.kernel.loop import Kernel
from kubesim.kernel.time import SECOND


def advance(kernel: Kernel, duration_ns: int) -> None:
    """Run everything due in the next ``duration_ns``."""
    stop_ns = kernel.now_ns + duration_ns
    loop = kernel.run()
    deadline_ns = next(loop)
    while deadline_ns is not None and deadline_ns <= stop_ns:
        deadline_ns = loop.send(deadline_ns)
    loop.send(stop_ns)


@pytest.fixture
def kernel() -> Kernel:
    return Kernel(seed=1)


@pytest.fixture
def etcd(kernel: Kernel) -> LocalEtcd:
    return LocalEtcd(kernel)


@pytest.mark.parametrize(
    ("name", "asked_seconds", "granted_seconds"),
    [
        ("below the minimum", 1, 2),
        ("zero", 0, 2),
        ("negative", -5, 2),
        ("as asked", 3600, 3600),
        ("the maximum, beyond the end of the agenda", 9_000_000_000, 9_000_000_000),
    ],
)
def test_the_ttl_has_a_minimum(etcd: LocalEtcd, name: str, asked_seconds: int, granted_seconds: int) -> None:
    lease = etcd.execute(("grant", asked_seconds))
    assert (granted_seconds, granted_seconds, []) == etcd.execute(("time_to_live", lease)), name


def test_expiry_deletes_all_keys_in_order_as_one_revision(kernel: Kernel, etcd: LocalEtcd) -> None:
    lease = etcd.execute(("grant", 10))
    for key in (b"c", b"a", b"b"):
        etcd.execute(("put", key, key, lease))
    etcd.execute(("put", b"other", 1, 0))
    before = etcd.store.revision
    advance(kernel, 10 * SECOND - 1)
    assert before == etcd.store.revision
    advance(kernel, 1)
    assert [(b"a", before + 1, 0), (b"b", before + 1, 1), (b"c", before + 1, 2)] == [
        (change.key, change.revision, change.sub) for change in etcd.store.changes(before) if change.is_delete
    ]
    assert [record.key for record in etcd.store.range(b"\0", b"\0").kvs] == [b"other"]
    assert etcd.execute(("time_to_live", lease)) == (-1, 0, [])


def test_a_lease_without_keys_ends_without_a_revision(kernel: Kernel, etcd: LocalEtcd) -> None:
    etcd.execute(("grant", 5))
    advance(kernel, 6 * SECOND)
    assert (etcd.store.revision, len(etcd.leases)) == (1, 0)


def test_keep_alive_moves_the_end(kernel: Kernel, etcd: LocalEtcd) -> None:
    lease = etcd.execute(("grant", 10))
    etcd.execute(("put", b"a", 1, lease))
    for _ in range(5):
        advance(kernel, 6 * SECOND)
        assert etcd.execute(("keep_alive", lease)) == 10
    advance(kernel, 9 * SECOND + SECOND // 2)
    assert etcd.execute(("time_to_live", lease)) == (0, 10, [b"a"])
    advance(kernel, SECOND)
    assert etcd.execute(("get", b"a")) is None
    assert etcd.execute(("keep_alive", lease)) == 0


def test_renewed_leases_cost_no_event_but_one_look_per_ttl(kernel: Kernel, etcd: LocalEtcd) -> None:
    leases = [etcd.execute(("grant", 40)) for _ in range(100)]
    loop = kernel.run()
    next(loop)
    looks = 0
    for _ in range(60):
        stop_ns = kernel.now_ns + 10 * SECOND
        deadline_ns = loop.send(kernel.now_ns)
        while deadline_ns is not None and deadline_ns <= stop_ns:
            looks += 1
            deadline_ns = loop.send(deadline_ns)
        loop.send(stop_ns)
        for lease in leases:
            etcd.execute(("keep_alive", lease))
    assert len(etcd.leases) == 100
    assert looks <= 600 / 40 * 2, "one look serves all leases"


@pytest.mark.parametrize(
    ("name", "request_", "keys_left"),
    [
        ("put without a lease detaches", lambda lease, other: ("put", b"a", 2, 0), [b"a"]),
        ("put with another lease moves it", lambda lease, other: ("put", b"a", 2, other), [b"a"]),
        ("put with the same lease keeps it", lambda lease, other: ("put", b"a", 2, lease), []),
        ("put_if without a lease detaches", lambda lease, other: ("put_if", b"a", 2, 2), [b"a"]),
        ("a failed put_if changes nothing", lambda lease, other: ("put_if", b"a", 2, 9, other), []),
    ],
)
def test_which_lease_a_key_hangs_on(kernel: Kernel, etcd: LocalEtcd, name, request_, keys_left) -> None:
    lease, other = etcd.execute(("grant", 10)), etcd.execute(("grant", 100))
    etcd.execute(("put", b"a", 1, lease))
    etcd.execute(request_(lease, other))
    advance(kernel, 11 * SECOND)
    assert keys_left == [record.key for record in etcd.store.range(b"\0", b"\0").kvs], name


def test_keys_that_moved_on_are_swept(etcd: LocalEtcd) -> None:
    lease = etcd.execute(("grant", 60))
    for i in range(20 * KEYS_SWEPT_MIN):
        key = b"event-%06d" % i
        revision = etcd.execute(("put", key, i, lease))
        if i % 4:
            etcd.execute(("delete_if", key, revision))
    assert len(etcd.leases.keys(lease)) == 5 * KEYS_SWEPT_MIN
    assert len(etcd.leases._leases[lease].keys) <= 2 * 5 * KEYS_SWEPT_MIN


@pytest.mark.parametrize(
    ("name", "request_", "error", "status"),
    [
        ("put", ("put", b"a", 1, 99), LeaseNotFound, (5, "etcdserver: requested lease not found")),
        ("put_if", ("put_if", b"a", 1, 0, 99), LeaseNotFound, (5, "etcdserver: requested lease not found")),
        ("revoke", ("revoke", 99), LeaseNotFound, (5, "etcdserver: requested lease not found")),
        ("grant again", ("grant", 5, 7), LeaseExists, (9, "etcdserver: lease already exists")),
        ("grant for ever", ("grant", 9_000_000_001), LeaseTtlTooLarge, (11, "etcdserver: too large lease TTL")),
    ],
)
def test_refusals(etcd: LocalEtcd, name: str, request_, error, status) -> None:
    etcd.execute(("grant", 5, 7))
    with pytest.raises(error) as caught:
        etcd.execute(request_)
    assert status == status_of(caught.value), name
    assert etcd.store.revision == 1, "nothing was applied"


def test_a_failed_compare_does_not_look_at_the_lease(etcd: LocalEtcd) -> None:
    assert etcd.execute(("put_if", b"a", 1, 5, 99)) == 0


def test_leases_are_listed_by_their_end(kernel: Kernel, etcd: LocalEtcd) -> None:
    long, short = etcd.execute(("grant", 100)), etcd.execute(("grant", 10))
    assert [short, long] == etcd.leases.listed()


def test_lease_numbers_come_from_the_seed() -> None:
    numbers = [[LocalEtcd(Kernel(seed=seed)).execute(("grant", 10)) for _ in range(2)] for seed in (1, 2)]
    assert numbers[0][0] == numbers[0][1] != numbers[1][0] == numbers[1][1]
    assert all(0 < number < 1 << 63 for pair in numbers for number in pair)
