"""Draw schedules from a seed, and shrink one that breaks a rule to what is needed for it.

A schedule is a swarm (Groce et al., 2012): each draws which kinds of operations and faults it uses at all, how often faults come, how long
it waits between steps and what is unusual about its cluster, so that rare combinations are tried often and no fault hides another. Most
of them also play scenes (``scenes.SCENES``) between their steps.

Shrinking is delta debugging (Zeller, 2002) on the list of steps, then smaller numbers in what is left. It keeps the rule that is broken.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeVar

from kubesim._core.random import Stream
from kubesim.kernel.time import MICROSECOND, MILLISECOND
from kubesim.testing.etcd.actions import FAULTS, OPERATIONS
from kubesim.testing.etcd.raft_rules import Broken
from kubesim.testing.etcd.scenes import SCENES
from kubesim.testing.etcd.schedules import PACES_NS, Knobs, Outcome, Schedule, Step, Undecided, run_schedule

T = TypeVar("T")

STEPS_MIN = 8
STEPS_SPAN = 56
RUNS_MAX = 400


class Found(NamedTuple):
    """A broken rule and the schedule that breaks it."""

    rule: str
    text: str
    schedule: Schedule


def draw_schedule(seed: int) -> Schedule:
    """Draw a schedule; the same for the same seed."""
    stream = Stream(seed, "schedule")
    operations = ["put", *_some(stream, OPERATIONS[1:], 3)]
    faults = _some(stream, FAULTS, 4)
    fault_percent = stream.choice((15, 30, 50)) if faults else 0
    paces = stream.choice(((0, 1, 2), (1, 2, 3, 4), tuple(range(len(PACES_NS)))))
    targets = (0, *(stream.below(6) for _ in range(1 + stream.below(4))))
    keys_count = 1 + stream.below(8)
    scenes = _some(stream, SCENES, 2)
    scene_percent = stream.choice((0, 20, 50)) if scenes else 0
    steps: list[Step] = []
    steps_count = STEPS_MIN + stream.below(STEPS_SPAN)
    while len(steps) < steps_count:
        if scene_percent and stream.below(100) < scene_percent:
            steps += stream.choice(scenes)(stream)
            continue
        kinds = faults if stream.below(100) < fault_percent else operations
        pace = stream.below(len(PACES_NS)) if stream.below(8) == 0 else stream.choice(paces)
        steps.append(Step(stream.choice(kinds), stream.choice(targets), stream.below(keys_count), pace))
    return Schedule(seed, stream.choice((1, 2, 3, 3, 3, 3, 4, 5)), _draw_knobs(stream), tuple(steps))


def _some(stream: Stream, kinds: tuple[T, ...], one_in: int) -> list[T]:
    return [kind for kind in kinds if stream.below(one_in) == 0]


def _draw_knobs(stream: Stream) -> Knobs:
    snapshot_count = stream.choice((10_000, 5, 15))
    return Knobs(
        snapshot_count=snapshot_count,
        catch_up_count=stream.choice((5_000, 0, 3)),
        message_bytes_max=stream.choice((1 << 20, 200)),
        loss_percent=stream.choice((0, 0, 3, 15)),
        duplication_percent=stream.choice((0, 0, 5)),
        reorder_percent=stream.choice((0, 0, 20)),
        jitter_ns=stream.choice((250 * MICROSECOND, 250 * MICROSECOND, 40 * MILLISECOND)),
        in_turns=stream.choice((False, False, False, True)),
    )


def try_schedule(schedule: Schedule) -> tuple[Outcome | None, Found | None]:
    """Run a schedule and return what it was, or what it broke; neither when it was given up."""
    try:
        return run_schedule(schedule), None
    except Undecided:
        return None, None
    except Broken as broken:
        return None, Found(broken.rule, str(broken), schedule)
    except Exception as failed:  # the library's own assertions, and whatever else should not come out of it
        return None, Found(type(failed).__name__, str(failed), schedule)


def shrink(found: Found, runs_max: int = RUNS_MAX) -> Found:
    """Return the smallest schedule that was found to break the same rule, within ``runs_max`` runs."""
    runs = 0
    tried = {found.schedule}

    def is_broken(schedule: Schedule) -> bool:
        nonlocal found, runs
        if schedule in tried or runs >= runs_max:
            return False
        tried.add(schedule)
        runs += 1
        _, new = try_schedule(schedule)
        if new is not None and new.rule == found.rule:
            found = new
            return True
        return False

    _drop_steps(found, is_broken)
    for candidate in _simpler(lambda: found.schedule):
        is_broken(candidate)
    _drop_steps(found, is_broken)
    return found


def _drop_steps(found: Found, is_broken: Callable[[Schedule], bool]) -> None:
    """Take out halves, quarters, ... and single steps as long as that works."""
    schedule = found.schedule
    size = max(len(schedule.steps) // 2, 1)
    while True:
        position = 0
        while position < len(schedule.steps):
            shorter = schedule._replace(steps=schedule.steps[:position] + schedule.steps[position + size :])
            if is_broken(shorter):
                schedule = shorter
            else:
                position += size
        if size == 1:
            return
        size //= 2


def _simpler(current: Callable[[], Schedule]) -> Iterator[Schedule]:
    """Yield schedules that are simpler than the current one, which may change in between."""
    for member_count in (1, 3):
        if member_count < current().member_count:
            yield current()._replace(member_count=member_count)
    for name, usual in Knobs()._asdict().items():
        if getattr(current().knobs, name) != usual:
            yield current()._replace(knobs=current().knobs._replace(**{name: usual}))
    for position in range(len(current().steps)):
        for field in ("pace", "key", "target"):
            for value in (0, 1, 2):
                step = current().steps[position]
                if value < getattr(step, field):
                    steps = list(current().steps)
                    steps[position] = Step(**{**step._asdict(), field: value})
                    yield current()._replace(steps=tuple(steps))
