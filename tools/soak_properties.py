"""Run the property tests again and again with other examples, until the time is over: ``python -m tools.soak_properties --seconds 600``.

Each round is a process of its own with its own seed; the last lines of a round (examples, faults by kind, virtual hours) are printed. The
exit status is 1 when a round failed, after its report.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent


def main(arguments: list[str]) -> int:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=600.0, help="wall time; the round that is under way then is finished")
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("paths", nargs="*", default=["tests/property"])
    options = parser.parse_args(arguments)
    if options.seconds <= 0:
        parser.error(f"--seconds is {options.seconds:g}; expected more than 0")
    start, rounds, failed = time.monotonic(), 0, 0
    while time.monotonic() - start < options.seconds:
        seed = options.seed + rounds
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--hypothesis-profile=soak", f"--hypothesis-seed={seed}"]
        done = subprocess.run([*command, *options.paths], cwd=ROOT, capture_output=True, text=True, check=False)
        rounds += 1
        failed += done.returncode != 0
        lines = done.stdout.splitlines()
        told = [line for line in lines if line.startswith(("hypothesis:", "faults:"))]
        print(f"round {rounds}, seed {seed}: " + "; ".join(told), flush=True)
        if done.returncode:
            print("\n".join(lines[-80:]), flush=True)
    print(f"{rounds} rounds of property tests in {time.monotonic() - start:.0f} s, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
