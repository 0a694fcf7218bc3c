"""A member whose disk fails answers with errors, loses nothing and goes on when the disk works again. The member runs in this process."""

import asyncio
import errno
import gc
import json
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kubesim.server.etcd import disk as disk_module
from kubesim.server.etcd.flags import Flags
from kubesim.server.etcd.process import Process
from tests.server.etcd.faulty import Faulty
from tests.server.etcd.members import free_port


class Here:
    """A member in this process, and a client of its gateway."""

    def __init__(self, directory: Path) -> None:
        self.flags = Flags(data_dir=str(directory))
        self.port = free_port()
        self.flags.listen_client_urls = f"http://127.0.0.1:{self.port}"
        self.flags.listen_peer_urls = self.flags.initial_advertise_peer_urls = f"http://127.0.0.1:{free_port()}"
        self.door = Faulty()
        self.process: Process

    async def start(self) -> None:
        self.process = Process(self.flags, asyncio.get_running_loop(), self.door)
        await self.process.start()

    async def restart(self) -> None:
        self.process.stop()
        await asyncio.sleep(0)
        await self.start()

    async def post(self, path: str, **message: Any) -> tuple[int, Any]:
        body = json.dumps(message).encode()
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + body)
        answer = await asyncio.wait_for(reader.read(), 20)
        writer.close()
        await writer.wait_closed()
        return int(answer.split(b" ")[1]), json.loads(answer.partition(b"\r\n\r\n")[2])

    async def put(self, value: str) -> tuple[int, Any]:
        return await self.post("/v3/kv/put", key="YQ==", value=value)

    async def get(self, **options: Any) -> tuple[int, Any]:
        return await self.post("/v3/kv/range", key="YQ==", **options)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Callable[[Here], Awaitable[None]]], None]]:
    monkeypatch.setattr(disk_module, "RETRY_SECONDS", 0.02)
    threshold = gc.get_threshold()

    def run(work: Callable[[Here], Awaitable[None]]) -> None:
        async def main() -> None:
            here = Here(tmp_path / "data")
            await here.start()
            try:
                await work(here)
            finally:
                here.process.stop()
                await asyncio.sleep(0)

        asyncio.run(main())

    yield run
    gc.unfreeze()
    gc.set_threshold(*threshold)


@pytest.mark.parametrize(
    ("number", "call", "expected"),
    [
        (errno.ENOSPC, "write", (429, 8, "etcdserver: mvcc: database space exceeded")),
        (errno.EDQUOT, "sync", (429, 8, "etcdserver: mvcc: database space exceeded")),
        (errno.EIO, "write", (503, 14, "etcdserver: cannot write the log: Input/output error")),
        (errno.EIO, "sync", (503, 14, "etcdserver: cannot write the log: Input/output error")),
    ],
)
def test_a_disk_that_fails_is_an_error_to_clients(run, number: int, call: str, expected: tuple[int, int, str]) -> None:
    async def work(here: Here) -> None:
        assert (await here.put("MQ=="))[0] == 200
        here.door.error, here.door.fails = number, (call,)
        for _ in range(2):  # the one that finds out, and one that comes after
            status, answer = await here.put("Mg==")
            assert (status, answer["code"], answer["message"]) == expected
        status, answer = await here.get()
        assert (status, answer["message"]) == (expected[0], expected[2]), "no quorum can be asked while the log cannot be written"
        status, answer = await here.get(serializable=True)
        assert (status, answer["kvs"][0]["value"]) == (200, "MQ==")
        here.door.error = None
        while (await here.put("Mw=="))[0] != 200:
            await asyncio.sleep(0.01)
        assert (await here.get())[1]["kvs"][0]["value"] == "Mw=="
        await here.restart()
        assert (await here.get())[1]["kvs"][0]["value"] == "Mw=="

    run(work)


def test_a_failing_disk_that_loses_its_member_loses_nothing_acknowledged(run) -> None:
    async def work(here: Here) -> None:
        for value in ("MQ==", "Mg=="):
            assert (await here.put(value))[0] == 200
        here.door.room = 10
        assert (await here.put("Mw=="))[0] == 429
        here.process.stop()
        await asyncio.sleep(0)
        here.door = Faulty()
        await here.start()
        status, answer = await here.get()
        assert (status, answer["kvs"][0]["value"], answer["kvs"][0]["version"]) == (200, "Mg==", "2")

    run(work)


def test_concurrent_writers_share_an_fsync(run) -> None:
    async def work(here: Here) -> None:
        await here.put("MQ==")
        disk = here.process._disk
        before = disk.fsync_count
        answers = await asyncio.gather(*(here.put("Mg==") for _ in range(64)))
        assert [status for status, _ in answers] == [200] * 64
        assert sorted(int(answer["header"]["revision"]) for _, answer in answers) == list(range(3, 67))
        assert 1 <= disk.fsync_count - before < 64

    run(work)


def test_without_fsync_there_is_none(tmp_path: Path, run) -> None:
    async def work(here: Here) -> None:
        here.flags.unsafe_no_fsync = True
        await here.restart()
        before = here.process._disk.fsync_count
        assert (await here.put("MQ=="))[0] == 200
        assert here.process._disk.fsync_count == before
        await here.restart()
        assert (await here.get())[1]["kvs"][0]["value"] == "MQ=="

    run(work)
