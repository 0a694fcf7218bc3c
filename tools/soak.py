"""Run drawn schedules of an etcd cluster for as long as asked: ``python tools/soak.py [--seconds N] [--seed N] [--bugs [NAME ...]]``.

Without ``--bugs`` it runs the library as it is, for N seconds, and prints schedules per second and virtual time. With it, the checks are
tested: every known bug is switched on in turn until a schedule finds it, which is then shrunk; a row of the table per bug. Exit status 1:
a rule broke where none should, or a bug was not found.
"""

import argparse
import sys
import time

from kubesim.testing.etcd.bugs import BUGS, Bug
from kubesim.testing.etcd.drawing import Found, draw_schedule, shrink, try_schedule
from kubesim.testing.etcd.schedules import Schedule

COLUMNS = "{:30} {:14} {:>10} {:>9} {:>6} {:>7}  {}"


def main(arguments: list[str]) -> int:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="CPU time: in all, or with --bugs for each bug")
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--bugs", nargs="*", metavar="NAME", help="switch known bugs on in turn: all of them, or those named")
    options = parser.parse_args(arguments)
    if options.seconds <= 0:
        parser.error(f"--seconds is {options.seconds:g}; expected more than 0")
    if options.bugs is None:
        return soak(options.seconds, options.seed)
    known = {bug.name: bug for bug in BUGS}
    unknown = [name for name in options.bugs if name not in known]
    if unknown:
        parser.error(f"--bugs {unknown[0]!r} is no known bug; expected some of {', '.join(known)}")
    return hunt([known[name] for name in options.bugs] or list(BUGS), options.seconds, options.seed)


def soak(seconds: float, seed: int) -> int:
    """Run schedules and print what they were; each that breaks a rule is shrunk and printed."""
    start = time.process_time()
    count = failed = operations = events = 0
    virtual_ns = 0
    while (spent := time.process_time() - start) < seconds:
        outcome, found = try_schedule(draw_schedule(seed + count))
        count += 1
        if outcome is not None:
            virtual_ns += outcome.virtual_ns
            operations += outcome.operation_count + outcome.answered_count
            events += outcome.event_count
        elif found is not None:
            failed += 1
            _print_found(seed + count - 1, shrink(found))
    print(f"{count:,} schedules in {spent:.0f} s of CPU time: {count / spent:.1f} per second, {failed} of them broke a rule")
    hours, rate = virtual_ns / 3_600e9, virtual_ns / 1e9 / spent
    print(f"{hours:.2f} virtual hours, {rate:.0f} virtual seconds per second; {operations:,} operations, {events:,} events")
    return 1 if failed else 0


def hunt(bugs: list[Bug], seconds: float, seed: int) -> int:
    """Print the table of known bugs, and what all its schedules came to."""
    missed = schedules = 0
    cpu_seconds = 0.0
    print(COLUMNS.format("bug", "rule", "schedules", "CPU s", "steps", "shrunk", "origin"))
    for bug in bugs:
        with bug.switched_on():
            start = time.process_time()
            found, count = None, 0
            while found is None and time.process_time() - start < seconds:
                _, found = try_schedule(draw_schedule(seed + count))
                count += 1
                if found is not None and found.rule not in bug.rules:
                    print(f"seed {seed + count - 1} breaks {found.rule}, which {bug.name} does not: {found.text}", flush=True)
                    missed, found = missed + 1, None
            spent = time.process_time() - start
            schedules, cpu_seconds = schedules + count, cpu_seconds + spent
            if found is None:
                missed += 1
                print(COLUMNS.format(bug.name, "NOT FOUND", count, f"{spent:.1f}", "", "", bug.origin), flush=True)
                continue
            small = shrink(found)
        steps, shrunk = len(found.schedule.steps), len(small.schedule.steps)
        print(COLUMNS.format(bug.name, small.rule, count, f"{spent:.1f}", steps, shrunk, bug.origin), flush=True)
    print(f"{len(bugs)} known bugs, {len(bugs) - missed} found; {schedules:,} schedules in {cpu_seconds:.0f} s of CPU time")
    return 1 if missed else 0


def _print_found(seed: int, found: Found) -> None:
    print(f"seed {seed} breaks {found.rule}: {found.text}")
    print(f"  {_text(found.schedule)}", flush=True)


def _text(schedule: Schedule) -> str:
    steps = ", ".join(f"({step.kind!r}, {step.target}, {step.key}, {step.pace})" for step in schedule.steps)
    return f"seed={schedule.seed} members={schedule.member_count} knobs={tuple(schedule.knobs)} steps=[{steps}]"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
