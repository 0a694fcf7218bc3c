"""The durable log of a store: what was written is there again, a torn tail is dropped, damage is refused, one server at a time."""

import asyncio
from pathlib import Path

import pytest

from kubesim.etcd.state import State
from kubesim.server.apiserver.journal import BadJournal, Journal


async def _write(directory: Path) -> State:
    state = State()
    journal = Journal(directory)
    journal.attach(state.store)
    store = state.store
    store.put(b"/a", {"metadata": {"n": 1}})
    store.put(b"/b", {"n": 2})
    await journal.durable(store.revision)
    store.delete(b"/a")
    store.put(b"/b", {"n": 3})
    store.compact(store.revision - 1)
    await journal.durable(store.revision)
    journal.close()
    return state


def _read(directory: Path) -> State:
    journal = Journal(directory)
    try:
        saved = journal.read()
        assert saved is not None
        state = State()
        journal.restore(saved, state, 0)
        return state
    finally:
        journal.close()


def _shown(state: State) -> list[tuple[object, ...]]:
    kvs = state.store.range(b"\0", b"\0").kvs
    return [(kv.key, kv.value, kv.create_revision, kv.mod_revision, kv.version) for kv in kvs]


def test_a_store_comes_back(tmp_path: Path) -> None:
    written = asyncio.run(_write(tmp_path))
    read = _read(tmp_path)
    assert (_shown(read), read.store.revision) == (_shown(written), written.store.revision)


def test_a_torn_tail_is_dropped(tmp_path: Path) -> None:
    asyncio.run(_write(tmp_path))
    log = tmp_path / "00000001.log"
    log.write_bytes(log.read_bytes()[:-3])
    assert _shown(_read(tmp_path)) == [(b"/a", {"metadata": {"n": 1}}, 2, 2, 1), (b"/b", {"n": 2}, 3, 3, 1)]


def test_damage_is_refused(tmp_path: Path) -> None:
    asyncio.run(_write(tmp_path))
    log = tmp_path / "00000001.log"
    data = bytearray(log.read_bytes())
    data[40] ^= 1
    log.write_bytes(data)
    with pytest.raises(BadJournal, match="corrupt"):
        _read(tmp_path)


def test_one_server_at_a_time(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    with pytest.raises(BadJournal, match="in use by another server"):
        Journal(tmp_path)
    journal.close()
