"""The stepped driver: time stands until it is moved; who watches is told after each instant; the guest jumps ahead the same way."""

import asyncio
from collections.abc import Callable

import pytest

from kubesim.drive.guest import Guest
from kubesim.drive.stepped import Stepped
from kubesim.kernel import SECOND, Kernel


def with_timers(*seconds: int) -> tuple[Kernel, list[int]]:
    """A kernel that notes when its timers run."""
    kernel, seen = Kernel(start_ns=0), []
    for second in seconds:
        kernel.at(second * SECOND, lambda: seen.append(kernel.now_ns // SECOND))
    return kernel, seen


def make_stepped(kernel: Kernel, loop: asyncio.AbstractEventLoop) -> Stepped:
    return Stepped(kernel, loop)


def make_guest(kernel: Kernel, loop: asyncio.AbstractEventLoop) -> Guest:
    return Guest(kernel, loop, clock_ns=lambda: 0)  # a clock that stands, too


@pytest.mark.parametrize("make", [make_stepped, make_guest])
def test_time_stands_until_it_is_moved(make: Callable[..., Stepped | Guest]) -> None:
    kernel, seen = with_timers(1, 2, 5)

    async def main() -> None:
        driver = make(kernel, asyncio.get_running_loop())
        driver.wake()
        await asyncio.sleep(0)
        assert (seen, kernel.now_ns) == ([], 0)
        assert not await driver.advance(3 * SECOND)
        assert (seen, kernel.now_ns) == ([1, 2], 3 * SECOND)
        assert driver.now_ns() == kernel.now_ns
        assert await driver.advance(9 * SECOND, lambda: 5 in seen)
        assert (seen, kernel.now_ns) == ([1, 2, 5], 5 * SECOND)
        driver.stop()

    asyncio.run(main())


def test_who_watches_is_told_after_each_instant() -> None:
    kernel, seen = with_timers(1, 2, 3)
    told: list[list[int]] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        driver = Stepped(kernel, loop, is_watched=lambda: True)
        is_over = False

        def look() -> None:
            if not told or told[-1] != seen:
                told.append(list(seen))
            if not is_over:
                loop.call_soon(look)

        look()
        await driver.advance(9 * SECOND)
        is_over = True

    asyncio.run(main())
    assert told == [[], [1], [1, 2], [1, 2, 3]]


def test_what_is_due_now_runs_without_a_move() -> None:
    kernel, seen = Kernel(start_ns=0), []

    async def main() -> None:
        driver = Stepped(kernel, asyncio.get_running_loop())
        kernel.soon(lambda: kernel.soon(seen.append, "then"))
        driver.wake()
        await asyncio.sleep(0)
        assert seen == ["then"]
        driver.stop()
        kernel.soon(seen.append, "never")
        driver.wake()
        await asyncio.sleep(0)
        assert seen == ["then"]

    asyncio.run(main())


def test_two_moves_at_once_do_not_take_time_back() -> None:
    kernel, seen = with_timers(*range(1, 8))

    async def main() -> None:
        driver = Stepped(kernel, asyncio.get_running_loop(), is_watched=lambda: True)
        await asyncio.gather(driver.advance(7 * SECOND), driver.advance(3 * SECOND))
        assert (seen, kernel.now_ns) == ([1, 2, 3, 4, 5, 6, 7], 7 * SECOND)

    asyncio.run(main())
