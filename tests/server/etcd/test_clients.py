"""Real clients from PyPI against a member: aetcd (gRPC, by grpcio) and etcd3gw (the JSON gateway)."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.server.etcd.members import Member

# -- aetcd


def with_aetcd(member: Member, work: Callable[[Any], Awaitable[Any]]) -> Any:
    aetcd = pytest.importorskip("aetcd", reason="aetcd is not installed")

    async def run() -> Any:
        async with aetcd.Client(port=member.port) as client:
            return await asyncio.wait_for(work(client), 30)

    return asyncio.run(run())


def test_aetcd_puts_and_gets(member: Member) -> None:
    async def work(client: Any) -> None:
        await client.put(b"a/one", b"1")
        await client.put(b"a/two", b"2")
        found = await client.get(b"a/one")
        assert (found.key, found.value, found.version) == (b"a/one", b"1", 1)
        assert await client.get(b"a/none") is None
        assert [(item.key, item.value) for item in await client.get_prefix(b"a/")] == [(b"a/one", b"1"), (b"a/two", b"2")]
        assert [item.key for item in await client.get_range(b"a/one", b"a/p")] == [b"a/one"]
        assert [item.key for item in await client.get_prefix(b"a/", sort_order="descend", sort_target="key")] == [b"a/two", b"a/one"]
        previous = await client.put(b"a/one", b"3", prev_kv=True)
        assert previous.prev_kv.value == b"1"
        assert (await client.delete(b"a/one", prev_kv=True)).prev_kv.value == b"3"
        await client.put(b"a/three", b"3")
        assert (await client.delete_prefix(b"a/")).deleted == 2
        assert await client.replace(b"a/four", b"1", b"2") is False

    with_aetcd(member, work)


def test_aetcd_transacts(member: Member) -> None:
    async def work(client: Any) -> None:
        functions = client.transactions
        await client.put(b"t/key", b"old")
        put, get = functions.put(b"t/key", b"new"), functions.get(b"t/key")
        done, answers = await client.transaction(compare=[functions.value(b"t/key") == b"old"], success=[put, get], failure=[get])
        assert done
        assert answers[1][0][0] == b"new" or answers[1][0].value == b"new"
        done, _ = await client.transaction(compare=[functions.version(b"t/key") > 7], success=[put], failure=[get])
        assert not done

    with_aetcd(member, work)


def test_aetcd_leases(member: Member) -> None:
    async def work(client: Any) -> None:
        lease = await client.lease(60)
        await client.put(b"l/key", b"v", lease=lease)
        info = await client.get_lease_info(lease.id)
        assert (info.grantedTTL, list(info.keys)) == (60, [b"l/key"])
        assert 0 < info.TTL <= 60
        assert (await client.refresh_lease(lease.id)).TTL == 60
        await lease.revoke()
        assert await client.get(b"l/key") is None

    with_aetcd(member, work)


def test_aetcd_watches(member: Member) -> None:
    async def work(client: Any) -> None:
        watch = await client.watch_prefix(b"w/", prev_kv=True)
        await client.put(b"w/one", b"1")
        await client.put(b"w/one", b"2")
        await client.delete(b"w/one")
        seen = []
        async for event in watch:
            seen.append((event.kind, event.kv.key, event.kv.value, event.prev_kv.value))
            if len(seen) == 3:
                break
        await watch.cancel()
        assert seen == [("PUT", b"w/one", b"1", b""), ("PUT", b"w/one", b"2", b"1"), ("DELETE", b"w/one", b"", b"2")]

    with_aetcd(member, work)


def test_aetcd_locks(member: Member) -> None:
    async def work(client: Any) -> None:
        first, second = client.lock(b"lock", ttl=20), client.lock(b"lock", ttl=20)
        assert await first.acquire(timeout=5)
        assert not await second.acquire(timeout=0.1)
        waiting = asyncio.ensure_future(second.acquire(timeout=10))
        await first.release()
        assert await waiting
        await second.release()

    with_aetcd(member, work)


def test_aetcd_is_told_of_errors(member: Member) -> None:
    async def work(client: Any) -> None:
        import aetcd

        with pytest.raises(aetcd.exceptions.ClientError, match="requested lease not found"):
            await client.put(b"e/key", b"v", lease=77)
        with pytest.raises(aetcd.exceptions.ClientError, match="request is too large"):
            await client.put(b"e/key", b"v" * (3 << 19))

    with_aetcd(member, work)


# -- etcd3gw


@pytest.fixture
def gateway(member: Member) -> Any:
    etcd3gw = pytest.importorskip("etcd3gw", reason="etcd3gw is not installed")
    return etcd3gw.client(host="127.0.0.1", port=member.port, api_path="/v3/")


def test_etcd3gw_puts_and_gets(gateway: Any) -> None:
    assert gateway.put("g/one", "1")
    assert gateway.put("g/two", "2")
    assert gateway.get("g/one") == [b"1"]
    assert [(meta["key"], value) for value, meta in gateway.get_prefix("g/")] == [(b"g/one", b"1"), (b"g/two", b"2")]
    assert gateway.create("g/three", "3")
    assert not gateway.create("g/three", "4")
    assert gateway.replace("g/three", "3", "5")
    assert gateway.delete("g/one")
    assert gateway.delete_prefix("g/")
    assert gateway.get_prefix("g/") == []
    assert gateway.status()["version"].startswith("3.6")
    assert len(gateway.members()) == 1


def test_etcd3gw_transacts_and_leases(gateway: Any) -> None:
    from etcd3gw.utils import _encode

    gateway.put("g/key", "old")
    answer = gateway.transaction(
        {
            "compare": [{"key": _encode(b"g/key"), "result": "EQUAL", "target": "VALUE", "value": _encode(b"old")}],
            "success": [{"request_put": {"key": _encode(b"g/key"), "value": _encode(b"new")}}],
            "failure": [],
        }
    )
    assert answer["succeeded"]
    lease = gateway.lease(ttl=60)
    gateway.put("g/leased", "v", lease=lease)
    assert 0 < lease.ttl() <= 60
    assert lease.keys() == [b"g/leased"]
    assert lease.refresh() == 60
    assert lease.revoke()
    assert gateway.get("g/leased") == []


def test_etcd3gw_watches_and_locks(gateway: Any) -> None:
    timer = threading.Timer(0.3, lambda: gateway.put("g/watched", "v"))
    timer.start()
    event = gateway.watch_once("g/watched", timeout=20)
    timer.join()
    assert (event["kv"]["key"], event["kv"]["value"]) == (b"g/watched", b"v")
    with gateway.lock("lock", ttl=30) as lock:
        assert lock.is_acquired()
