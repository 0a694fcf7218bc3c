"""The short version of ``crashes.py``: some kills, and the kit itself finds what a log that lies would lose."""

from pathlib import Path

from tests.server.etcd.crashes import Kit
from tests.server.etcd.members import Zygote


def test_nothing_that_was_acknowledged_is_lost(zygote: Zygote, tmp_path: Path) -> None:
    tally = Kit(zygote, tmp_path, seed=1).run(8)
    assert tally.faults == []
    assert tally.is_good and tally.acknowledged > 0 and tally.kills == 8
    assert 0 < tally.kills_while_starting < 8


def test_the_kit_notices_a_lost_put(zygote: Zygote, tmp_path: Path) -> None:
    """Cut what the log has last: as if the member had answered before its fsync and the power had gone."""
    kit = Kit(zygote, tmp_path, seed=2)
    kit.cycle()
    while not kit.tally.acknowledged:
        kit.cycle()
    path = sorted((kit.member.directory / "wal").glob("*.wal"))[-1]
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 3])
    kit.member.start()
    kit.check()
    kit.member.kill()
    assert kit.tally.lost > 0
    assert not kit.tally.is_good
