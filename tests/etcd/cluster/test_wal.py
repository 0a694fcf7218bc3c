"""The write-ahead log as bytes: every cut is a torn tail or clean, every changed byte is noticed."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubesim.etcd import wal
from kubesim.etcd.wal import Corrupt, Record

RECORDS = st.lists(st.builds(Record, st.integers(1, 4), st.binary(max_size=700)), min_size=1, max_size=6)


def segment(records: list[Record]) -> tuple[bytes, list[int]]:
    """The bytes of a segment, and where each record begins."""
    data, crc, starts = wal.begin(3, 77), 77, []
    for record in records:
        starts.append(len(data))
        more, crc = wal.encode([record], crc)
        data += more
    return data, starts


@given(RECORDS)
def test_what_was_written_is_read(records: list[Record]) -> None:
    data, _ = segment(records)
    decoded = wal.decode(data)
    assert (decoded.number, decoded.records, decoded.size, decoded.torn) == (3, records, len(data), False)
    more, _ = wal.encode([Record(1, b"more")], decoded.crc)
    assert wal.decode(data + more).records == [*records, Record(1, b"more")]


@given(RECORDS, st.data())
def test_a_file_cut_anywhere_keeps_its_whole_records(records: list[Record], data: st.DataObject) -> None:
    full, starts = segment(records)
    size = data.draw(st.integers(16, len(full)))
    whole = sum(1 for start in [*starts[1:], len(full)] if start <= size)
    decoded = wal.decode(full[:size])
    assert decoded.records == records[:whole]
    assert decoded.torn == (size not in [*starts, len(full)])
    assert decoded.size == ([*starts, len(full)])[whole]


@given(RECORDS, st.data())
@settings(max_examples=200)
def test_a_changed_byte_is_never_read_as_data(records: list[Record], data: st.DataObject) -> None:
    full, starts = segment(records)
    position = data.draw(st.integers(0, len(full) - 1))
    flipped = full[:position] + bytes((full[position] ^ data.draw(st.integers(1, 255)),)) + full[position + 1 :]
    if position < starts[0]:
        if 8 <= position < 12:
            assert wal.decode(flipped).number != 3  # the segment's number: whoever opens a folder compares it with the file's name
            return
        with pytest.raises(Corrupt):
            wal.decode(flipped)
        return
    damaged = max(number for number, start in enumerate(starts) if start <= position)
    try:
        decoded = wal.decode(flipped)
    except Corrupt as error:
        assert error.offset == starts[damaged]
    else:  # only what looks like an unwritten sector is dropped, and nothing after it is kept
        assert decoded.torn and decoded.records == records[:damaged]
        sectors = [full[start : start + 512] for start in range(starts[damaged] // 512 * 512, len(full), 512)]
        assert any(sum(byte != 0 for byte in sector) <= 1 for sector in sectors) or len(full) - starts[damaged] < 13 + 512


def test_a_sector_that_was_never_written_is_a_torn_tail() -> None:
    records = [Record(2, b"x" * 100), Record(2, b"y" * 2000)]
    full, starts = segment(records)
    torn = full[:1024] + bytes(512) + full[1536:]
    decoded = wal.decode(torn)
    assert (decoded.records, decoded.size, decoded.torn) == (records[:1], starts[1], True)
    with pytest.raises(Corrupt, match="does not fit its check sum"):
        wal.decode(full[:1100] + b"?" + full[1101:])
    with pytest.raises(Corrupt):
        wal.decode(torn, is_last=False)


def test_a_record_that_is_lost_moved_or_repeated_is_noticed() -> None:
    records = [Record(2, b"a" * 9), Record(2, b"b" * 9), Record(2, b"c" * 9)]
    full, starts = segment(records)
    parts = [full[start:stop] for start, stop in zip(starts, [*starts[1:], len(full)], strict=True)]
    head = full[: starts[0]]
    for order in ((0, 2), (1, 0, 2), (0, 0, 1, 2), (0, 1, 1)):
        with pytest.raises(Corrupt):
            wal.decode(head + b"".join(parts[number] for number in order))


def test_a_segment_goes_on_after_the_one_before() -> None:
    first, crc = wal.encode([Record(1, b"a")], 0)
    assert wal.decode(wal.begin(0) + first).crc == crc
    second, _ = wal.encode([Record(1, b"b")], crc)
    assert wal.decode(wal.begin(1, crc) + second).records == [Record(1, b"b")]
    with pytest.raises(Corrupt):
        wal.decode(wal.begin(1, crc ^ 1) + second)


@pytest.mark.parametrize("size", range(17))
def test_a_segment_whose_beginning_was_cut_is_empty(size: int) -> None:
    decoded = wal.decode(wal.begin(5)[:size])
    assert (decoded.records, decoded.torn) == ([], size < 16)


@pytest.mark.parametrize("data", [b"not a log at all", b"K", b"KSIMWAL\x02" + bytes(8)])
def test_what_is_no_log_is_refused(data: bytes) -> None:
    if data == b"K":
        assert wal.decode(data).torn
        return
    with pytest.raises(Corrupt):
        wal.decode(data)


def test_payloads() -> None:
    assert wal.parse_hard_state(wal.hard_state_payload(3, 1 << 63, 9)) == (3, 1 << 63, 9)
    assert wal.parse_entry(wal.entry_payload(3, 4, 1, b"data")) == (3, 4, 1, b"data")
    assert wal.parse_snapshot(wal.snapshot_payload(8, 2)) == (8, 2)
