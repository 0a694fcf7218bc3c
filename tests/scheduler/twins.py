"""The scalar twins as plugins of their own: every answer about every row in plain Python, nothing compiled, nothing grouped.

    python -m tests.scheduler.twins [--pairs 20000] [--recordings]

compares twin and vector on random (Pod, cluster) pairs, and puts the recordings through the twins alone (``make soak``).
"""

import argparse
import sys
import time
from typing import Any

import numpy as np

from kubesim.scheduler.contract import Plugin
from kubesim.scheduler.plugins import registry


def twin_of(plugin: type[Plugin]) -> type[Plugin]:
    """The plugin with its vectorised and compiled methods replaced by its twins."""

    def over_rows(method: str) -> Any:
        def answer(self: Any, state: Any, rows: Any) -> Any:
            one = getattr(self, method)
            alive = self.table.nodes
            return np.array([one(state, row) if alive[row] is not None else 0 for row in self.table.index(rows).tolist()], np.int64)

        return answer

    def nothing(self: Any, *arguments: Any) -> None:
        return None

    methods: dict[str, Any] = {"filter_kernel": nothing, "score_kernel": nothing, "group_filters": nothing, "group_scores": nothing}
    if "filter" in plugin.extends:
        methods["filter"] = over_rows("filter_row")
    if "score" in plugin.extends:
        methods["score"] = over_rows("score_row")
    return type(f"{plugin.__name__}Twin", (plugin,), methods)


def twins() -> list[type[Plugin]]:
    """The twin of every plugin, under its own name."""
    return [twin_of(plugin) for plugin in registry().values()]


def replay(families: tuple[str, ...]) -> int:
    """Put recorded families through the twins; how many decisions were right. Raises AssertionError at the first that is not."""
    from kubesim.scheduler.scenarios import ScenarioRun
    from tests.fidelity.test_scheduler_recordings import cases

    count = 0
    for family in families:
        for scenario, expected in cases(family):
            answer = ScenarioRun(scenario, plugins=twins()).run()
            for found, recorded in zip(answer["pods"], expected["pods"], strict=True):
                assert found == recorded, f"{scenario['id']} {recorded['pod']}"
                count += 1
    return count


def main() -> None:
    """Run the long comparisons."""
    from tests.fidelity.test_scheduler_recordings import FAMILIES, RECORDINGS
    from tests.property.test_scheduler_plugins import arguments as plugin_arguments
    from tests.property.test_scheduler_plugins import check_pairs
    from tests.scheduler.crossings import cases

    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=20_000)
    parser.add_argument("--recordings", action="store_true")
    arguments = parser.parse_args()
    started = time.process_time()
    count = 0
    for cluster, pods, given_arguments in cases(plugin_arguments):
        if count >= arguments.pairs:
            break
        count += check_pairs(cluster, pods, given_arguments)
    print(f"twin and vector agree over {count} random (Pod, cluster) pairs, {time.process_time() - started:.0f} s of CPU", flush=True)
    if arguments.recordings and RECORDINGS.is_dir():
        for family in FAMILIES:
            print(f"twins: {family}: {replay((family,))} recorded decisions", flush=True)


if __name__ == "__main__":
    sys.exit(main())
