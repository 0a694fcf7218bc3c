"""Transactions: compares, checks before any write, duplicates and limits. ``test_recordings.py`` has thousands of real ones."""

import pytest

from kubesim._core.revision_store import Compacted, FutureRevision
from kubesim.etcd.errors import DuplicateKey, InvalidSortOption, KeyNotFound, KeyNotProvided, LeaseNotFound, TooManyOperations
from kubesim.etcd.kv import DeleteRequest, PutRequest, RangeRequest
from kubesim.etcd.local import LocalEtcd
from kubesim.etcd.txn import Compare, TxnRequest
from kubesim.kernel.loop import Kernel


@pytest.fixture
def etcd() -> LocalEtcd:
    """Revision 5: a (2, version 2 at 4), b (3), and c deleted at 5."""
    etcd = LocalEtcd(Kernel())
    etcd.store.put(b"a", b"1")
    etcd.store.begin()
    etcd.store.put(b"b", b"2")
    etcd.store.put(b"c", b"3")
    etcd.store.commit()
    etcd.store.put(b"a", b"4")
    etcd.store.delete(b"c")
    return etcd


@pytest.mark.parametrize(
    ("compare", "holds"),
    [
        (Compare(b"a", "MOD", "EQUAL", 4), True),
        (Compare(b"a", "MOD", "GREATER", 4), False),
        (Compare(b"a", "CREATE", "LESS", 3), True),
        (Compare(b"a", "VERSION", "NOT_EQUAL", 2), False),
        (Compare(b"a", "VALUE", "EQUAL", b"4"), True),
        (Compare(b"a", "VALUE", "LESS", b"5"), True),
        (Compare(b"a", "LEASE", "EQUAL", 0), True),
        (Compare(b"c", "MOD", "EQUAL", 0), True),  # a missing key has zeros
        (Compare(b"c", "VERSION", "LESS", 1), True),
        (Compare(b"c", "VALUE", "NOT_EQUAL", b"x"), False),  # but no value that anything holds of
        (Compare(b"a", "VERSION", "GREATER", 0, b"c"), True),  # each key of the range
        (Compare(b"a", "VERSION", "GREATER", 1, b"c"), False),
        (Compare(b"a", "MOD", "GREATER", 2, b"\0"), True),
        (Compare(b"x", "VERSION", "EQUAL", 0, b"z"), True),  # a range without keys is a missing key
        (Compare(b"x", "VALUE", "EQUAL", b"", b"z"), False),
    ],
)
def test_compares(etcd: LocalEtcd, compare: Compare, holds: bool) -> None:
    assert etcd.execute(("txn", TxnRequest((compare,)))).succeeded is holds
    assert etcd.store.revision == 5


def test_operations_are_one_revision_and_see_each_other(etcd: LocalEtcd) -> None:
    everything = RangeRequest(b"\0", b"\0")
    operations = (everything, DeleteRequest(b"a"), PutRequest(b"d", b"5"), everything, DeleteRequest(b"x"), RangeRequest(b"a", revision=5))
    answer = etcd.execute(("txn", TxnRequest((), operations)))
    assert (answer.revision, answer.succeeded, etcd.store.revision) == (6, True, 6)
    before, deleted, put, after, nothing, old = answer.responses
    assert (before.revision, [record.key for record in before.kvs]) == (5, [b"a", b"b"])
    assert (deleted.revision, deleted.deleted, deleted.previous[0].value) == (6, 1, b"4")
    assert (put.revision, put.previous) == (6, None)
    assert (after.revision, [record.key for record in after.kvs]) == (6, [b"b", b"d"])
    assert (nothing.revision, nothing.deleted) == (6, 0)
    assert old.kvs[0].value == b"4", "the state before, by its revision"
    assert [(change.key, change.sub) for change in etcd.store.changes(5)] == [(b"a", 0), (b"d", 1)]


def test_a_nested_compare_looks_at_the_state_before(etcd: LocalEtcd) -> None:
    nested = TxnRequest((Compare(b"a", "VERSION", "EQUAL", 2),), (PutRequest(b"seen", b"before"),), (PutRequest(b"seen", b"after"),))
    answer = etcd.execute(("txn", TxnRequest((), (PutRequest(b"a", b"9"), nested))))
    assert [response.revision for response in answer.responses] == [6, 0], "a nested answer has an empty header"
    assert etcd.store.get(b"seen").value == b"before"


BIG = (RangeRequest(b"a"),)
A, B = PutRequest(b"a", b""), PutRequest(b"b", b"")


@pytest.mark.parametrize(
    ("name", "request_", "error"),
    [
        ("128 operations", TxnRequest((), BIG * 128), None),
        ("129 operations", TxnRequest((), BIG * 129), TooManyOperations),
        ("129 compares", TxnRequest((Compare(b"a", "MOD", "EQUAL", 0),) * 129), TooManyOperations),
        ("a nested one has what is left", TxnRequest((), (TxnRequest((), BIG * 127),)), None),
        ("and no more", TxnRequest((), (TxnRequest((), BIG * 128),)), TooManyOperations),
        ("empty key in a compare", TxnRequest((Compare(b"", "MOD", "EQUAL", 0),)), KeyNotProvided),
        ("empty key in a branch not taken", TxnRequest((), (), (DeleteRequest(b""),)), KeyNotProvided),
        ("no member", TxnRequest((), (None,)), KeyNotFound),
        ("bad order", TxnRequest((), (RangeRequest(b"a", sort_order="UP"),)), InvalidSortOption),
        ("put twice", TxnRequest((), (A, A)), DuplicateKey),
        ("put twice, not taken", TxnRequest((), (), (A, A)), DuplicateKey),
        ("put once in each branch", TxnRequest((), (A,), (A,)), None),
        ("put and deleted", TxnRequest((), (A, DeleteRequest(b"a"))), DuplicateKey),
        ("put and deleted in a range", TxnRequest((), (DeleteRequest(b"a", b"b"), A)), DuplicateKey),
        ("put beside a range", TxnRequest((), (DeleteRequest(b"a", b"b"), B)), None),
        ("put and all deleted: etcd's gap", TxnRequest((), (A, DeleteRequest(b"\0", b"\0"))), None),
        ("overlapping deletes", TxnRequest((), (DeleteRequest(b"a", b"c"), DeleteRequest(b"b"))), None),
        ("nested puts of one key", TxnRequest((), (TxnRequest((), (A,)), TxnRequest((), (A,)))), DuplicateKey),
        ("nested branches with one key", TxnRequest((), (TxnRequest((), (A,), (A,)),)), None),
        ("outer and nested", TxnRequest((), (A, TxnRequest((), (), (A,)))), DuplicateKey),
        ("future range", TxnRequest((), (B, RangeRequest(b"a", revision=6))), FutureRevision),
        ("compacted range", TxnRequest((), (B, RangeRequest(b"a", revision=2))), Compacted),
        ("negative is compacted here", TxnRequest((), (B, RangeRequest(b"a", revision=-1))), Compacted),
        ("future range not taken", TxnRequest((), (B,), (RangeRequest(b"a", revision=6),)), None),
        ("unknown lease", TxnRequest((), (B, PutRequest(b"x", b"", 99))), LeaseNotFound),
        ("keep the value of nothing", TxnRequest((), (B, PutRequest(b"x", b"", ignore_value=True))), KeyNotFound),
        ("unknown lease, nested", TxnRequest((), (B, TxnRequest((), (PutRequest(b"x", b"", 99),)))), LeaseNotFound),
    ],
)
def test_a_transaction_is_checked_before_anything_is_written(etcd: LocalEtcd, name: str, request_: TxnRequest, error) -> None:
    etcd.execute(("compact", 3))
    if error is None:
        etcd.execute(("txn", request_))
    else:
        with pytest.raises(error):
            etcd.execute(("txn", request_))
        assert (etcd.store.revision, etcd.store.changes(5)) == (5, []), name
    etcd.store.check()


@pytest.mark.parametrize(
    ("name", "request_", "value", "lease"),
    [
        ("plain", PutRequest(b"k", b"new"), b"new", 0),
        ("keep the value", PutRequest(b"k", ignore_value=True), b"old", 0),
        ("keep the lease", PutRequest(b"k", b"new", ignore_lease=True), b"new", 7),
        ("keep both", PutRequest(b"k", ignore_value=True, ignore_lease=True), b"old", 7),
        ("another lease", PutRequest(b"k", lease=8, ignore_value=True), b"old", 8),
    ],
)
def test_what_a_put_keeps(etcd: LocalEtcd, name: str, request_: PutRequest, value: bytes, lease: int) -> None:
    for number in (7, 8):
        etcd.execute(("grant", 60, number))
    etcd.execute(("put", b"k", b"old", 7))
    etcd.execute(("txn", TxnRequest((), (request_,))))
    record = etcd.store.get(b"k")
    assert (record.value, record.lease, record.version) == (value, lease, 2), name
    assert [etcd.leases.keys(number) for number in (7, 8)] == [[b"k"] if lease == number else [] for number in (7, 8)]
