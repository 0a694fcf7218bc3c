"""kill -9 at random moments under load, again and again on the same data: nothing that was acknowledged may be lost, no start refused.

Every client writes its own key, one put at a time, and counts. After each kill the next start is asked for all keys: a key must be at the
last count that was acknowledged, or at the one that was under way; its version says that no put was applied twice, its mod revision is the
one that was acknowledged. ``python -m tests.server.etcd.crashes --kills 1000`` prints a table.
"""

import argparse
import random
import selectors
import sys
import tempfile
import time
from base64 import b64encode
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from bench.etcd_load import PUT, Client, Refused, put_message
from kubesim.etcd.wire.codec import decode, encode
from kubesim.etcd.wire.schema import MESSAGES
from tests.server.etcd.members import Member, Zygote

RANGE = "/etcdserverpb.KV/Range"
CLIENTS = 16
LOAD_SECONDS_MAX = 0.25
START_SECONDS_MAX = 0.12
START_PART = 0.2  # of the kills, while the member starts
VALUE_BYTES_MAX = 4096
FILL_KEYS, FILL_PART = 2000, 100


@dataclass
class Tally:
    """What happened."""

    kills: int = 0
    kills_while_starting: int = 0
    starts_refused: int = 0
    acknowledged: int = 0
    under_way: int = 0
    under_way_applied: int = 0
    lost: int = 0
    doubled: int = 0
    changed: int = 0
    snapshots: int = 0
    log_bytes_max: int = 0
    faults: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.starts_refused or self.lost or self.doubled or self.changed)

    def table(self) -> str:
        """The table for the README."""
        rows = (
            ("kill -9 under load, with fsync", self.kills - self.kills_while_starting),
            ("kill -9 while starting", self.kills_while_starting),
            ("puts acknowledged", self.acknowledged),
            ("puts under way at a kill (of these applied)", f"{self.under_way:,} ({self.under_way_applied:,})"),
            ("snapshot files written", self.snapshots),
            ("**acknowledged puts lost**", self.lost),
            ("**puts applied twice**", self.doubled),
            ("**acknowledged puts with another value or revision**", self.changed),
            ("**starts refused**", self.starts_refused),
        )
        lines = [f"| {name} | {value:,} |" if isinstance(value, int) else f"| {name} | {value} |" for name, value in rows]
        return "\n".join(["| what | count |", "| --- | ---: |", *lines])


@dataclass
class Writer:
    """What is known of one key. ``count`` is that of the newest put that is known to be there."""

    number: int
    count: int = 0
    version: int = 0
    revision: int = 0
    under_way: int = 0  # the count of a put that is not answered; 0: none

    @property
    def key(self) -> bytes:
        """Its key."""
        return b"crash/%03d" % self.number

    def value(self, count: int) -> bytes:
        """What it writes: the count, and as many bytes as the count says."""
        return b"%d " % count + b"x" * (count * 2654435761 % VALUE_BYTES_MAX)


class Kit:
    """One member, its writers, and what is known of them."""

    def __init__(self, zygote: Zygote, folder: Path, seed: int) -> None:
        self.random = random.Random(seed)
        self.member = Member(zygote, folder, snapshot_count="1000")
        self.writers = [Writer(number) for number in range(CLIENTS)]
        self.tally = Tally()
        self._snapshots: set[str] = set()

    def run(self, kills: int) -> Tally:
        """Kill so many times; then look once more."""
        self._fill()
        with suppress(KeyboardInterrupt):  # what was seen so far counts
            for _ in range(kills):
                self.cycle()
        if self.member.process is not None:
            self._end()
        self._begin()
        self.check()
        self.member.kill()
        return self.tally

    def _fill(self) -> None:
        """Write so many keys that a snapshot is written by a child process, which may outlive its member."""
        self.member.start()
        for start in range(0, FILL_KEYS, FILL_PART):
            keys = [b64encode(b"fill/%06d" % number).decode() for number in range(start, start + FILL_PART)]
            self.member.post("/v3/kv/txn", success=[{"requestPut": {"key": key, "value": "eA=="}} for key in keys])
        self.member.kill()

    def cycle(self) -> None:
        """Start, look, load, kill."""
        self.tally.kills += 1
        if self.random.random() < START_PART:
            self.tally.kills_while_starting += 1
            self.member.start(waits=False)
            time.sleep(self.random.uniform(0, START_SECONDS_MAX))
            self._end()
            return
        self._begin()
        self.check()
        self.load(self.random.uniform(0.01, LOAD_SECONDS_MAX))

    def _begin(self) -> None:
        try:
            self.member.start()
        except AssertionError as refused:
            self._fault(f"a start was refused: {refused}")
            self.tally.starts_refused += 1
            raise

    def _end(self) -> None:
        status = self.member.kill()
        if status != -9:
            self._fault(f"the member had ended by itself, with {status}: {self.member.log.read_text()[-2000:]}")
            self.tally.starts_refused += 1
        self._snapshots |= {path.name for path in (self.member.directory / "snap").glob("*.snap")}
        self.tally.snapshots = len(self._snapshots)

    def load(self, seconds: float) -> None:
        """Have all writers write, and kill the member after so long."""
        selector = selectors.DefaultSelector()
        clients = []
        for writer in self.writers:
            client = Client("127.0.0.1", self.member.port, path=PUT)
            selector.register(client.socket, selectors.EVENT_READ, (client, writer))
            clients.append(client)
            self._put(client, writer)
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            for key, _ in selector.select(left):
                self._take(*key.data)
        self._end()
        for key, _ in selector.select(0):  # answers that had left before the kill count
            self._drain(selector, *key.data)
        self.tally.under_way += sum(writer.under_way > 0 for writer in self.writers)
        for client in clients:
            client.close()

    def _put(self, client: Client, writer: Writer) -> None:
        writer.under_way = writer.count + 1
        client.call(put_message(writer.key, writer.value(writer.under_way)))

    def _take(self, client: Client, writer: Writer) -> bool:
        answer = client.take()
        if answer is None:
            return True
        writer.count, writer.under_way = writer.under_way, 0
        writer.version += 1
        writer.revision = decode(MESSAGES["PutResponse"], answer)["header"]["revision"]
        self.tally.acknowledged += 1
        if self.member.process is not None:
            self._put(client, writer)
        return True

    def _drain(self, selector: selectors.BaseSelector, client: Client, writer: Writer) -> None:
        try:
            while self._take(client, writer):
                pass
        except (Refused, ConnectionError):
            selector.unregister(client.socket)

    def check(self) -> None:
        """Ask for all keys and hold them against what was acknowledged."""
        client = Client("127.0.0.1", self.member.port, path=RANGE)
        body = encode(MESSAGES["RangeRequest"], {"key": b"crash/", "range_end": b"crash0"})
        client.call(b"\0" + len(body).to_bytes(4, "big") + body)
        while (answer := client.take()) is None:
            pass
        client.close()
        found = {record["key"]: record for record in decode(MESSAGES["RangeResponse"], answer).get("kvs", [])}
        for writer in self.writers:
            self._check(writer, found.get(writer.key, {}))

    def _check(self, writer: Writer, record: dict[str, object]) -> None:
        tally = self.tally
        value = bytes(record.get("value", b""))  # type: ignore[arg-type]
        count = int(value.split(b" ")[0] or b"0")
        version = int(record.get("version", 0))  # type: ignore[call-overload]
        revision = int(record.get("mod_revision", 0))  # type: ignore[call-overload]
        is_applied = bool(writer.under_way) and count == writer.under_way
        if count < writer.count:
            tally.lost += writer.count - count
            self._fault(f"{writer} is at count {count}")
        elif count > writer.count and not is_applied:
            tally.changed += 1
            self._fault(f"{writer} is at count {count}, which nobody has sent")
        elif version != writer.version + is_applied:
            tally.doubled += 1
            self._fault(f"{writer} has version {version}")
        elif count and (value != writer.value(count) or (not is_applied and revision != writer.revision)):
            tally.changed += 1
            self._fault(f"{writer} has revision {revision} and {len(value)} bytes")
        tally.under_way_applied += is_applied
        writer.count, writer.version, writer.revision, writer.under_way = count, version, revision, 0

    def _fault(self, text: str) -> None:
        self.tally.faults.append(f"kill {self.tally.kills}: {text}")


def main(arguments: Sequence[str]) -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="where the data is kept (default: a temporary folder)")
    given = parser.parse_args(arguments)
    zygote = Zygote()
    try:
        with tempfile.TemporaryDirectory() as folder:
            kit = Kit(zygote, given.folder or Path(folder), given.seed)
            tally = kit.run(given.kills)
    finally:
        zygote.close()
    print(tally.table())
    for fault in tally.faults[:20]:
        print(fault)
    return 0 if tally.is_good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
