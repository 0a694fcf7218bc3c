"""Streams, the trace, texts of times and the network: the small things that every request does."""

import pytest

from kubesim.kernel import EPOCH_NS, MILLISECOND, Kernel, LinkProfile, Network, Stream, Trace, format_time


@pytest.mark.parametrize(
    ("method", "arguments"), [("u64", ()), ("between", (0, 1_000)), ("normal", (0.0, 1.0)), ("uuid", ()), ("suffix", ())]
)
def test_draw(benchmark, scale, method: str, arguments: tuple) -> None:
    count = scale(1_000, 200_000)

    def work() -> list:
        draw = getattr(Stream(1, "bench"), method)
        return [draw(*arguments) for _ in range(count)]

    benchmark.extra_info.update(room="kernel", operation=f"draw: {method}", count=count, unit="draws")
    assert len(set(map(str, benchmark(work)))) > min(count, 1_000) // 2


def test_trace(benchmark, scale) -> None:
    count = scale(1_000, 200_000)

    def work() -> Trace:
        trace = Trace()
        record = trace.record
        for number in range(count):
            record(EPOCH_NS + number, "kube-apiserver", "update", "pods/default/web-5d8c7b9f6-x2x4z", number)
        trace.digest()
        return trace

    benchmark.extra_info.update(room="kernel", operation="trace a write", count=count, unit="records")
    assert benchmark(work).count == count


def test_format_time(benchmark, scale) -> None:
    count = scale(1_000, 200_000)

    def work() -> str:
        for number in range(count):
            text = format_time(EPOCH_NS + number * MILLISECOND)
        return text

    benchmark.extra_info.update(room="kernel", operation="format a time", count=count, unit="times")
    assert benchmark(work) == format_time(EPOCH_NS + (count - 1) * MILLISECOND)


def test_network(benchmark, scale) -> None:
    count = scale(1_000, 50_000)

    def work() -> Network:
        kernel = Kernel()
        network = Network(kernel, LinkProfile(latency_ns=MILLISECOND, jitter_ns=MILLISECOND, loss=0.01))
        for host in ("a", "b", "c"):
            network.add_host(host, lambda source, message: None)
        for number in range(count):
            network.send("abc"[number % 3], "bca"[number % 3], number)
        kernel.drain()
        return network

    benchmark.extra_info.update(room="kernel", operation="a message over a faulty link", count=count, unit="messages")
    counts = benchmark(work).counts
    assert counts.sent == counts.delivered + counts.lost == count
