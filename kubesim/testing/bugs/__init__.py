"""Known bugs of Kubernetes as scenarios: each trips its rule in the faulty form and is silent in the mended one.

A scenario is a function ``scenario(faulty) -> list of broken rules``; ``faulty`` chooses the form: the older mode of the stale-cache
rules, a controller with the bug, or the fault alone. ``kubesim scenarios`` lists and runs them.
"""

from collections.abc import Callable
from typing import NamedTuple


class Scenario(NamedTuple):
    """One known bug. ``rule`` is the rule that it trips; ``by_design``: upstream behaves so, and nothing mends it."""

    id: str
    title: str
    rule: str
    how: str  # what makes it faulty: "pre-1.36", "bug" (a controller or client with the bug) or "design"
    run: Callable[[bool], list[str]]

    @property
    def by_design(self) -> bool:
        """Whether there is no mended form."""
        return self.how == "design"


SCENARIOS: dict[str, Scenario] = {}


def scenario(id_: str, title: str, rule: str, how: str) -> Callable[[Callable[[bool], list[str]]], Callable[[bool], list[str]]]:
    """Register a scenario under its id."""

    def register(function: Callable[[bool], list[str]]) -> Callable[[bool], list[str]]:
        if id_ in SCENARIOS:
            raise ValueError(f"scenario {id_!r} exists already")
        SCENARIOS[id_] = Scenario(id_, title, rule, how, function)
        return function

    return register


def find_scenarios() -> dict[str, Scenario]:
    """All scenarios by id, in the order of the files."""
    from kubesim.testing.bugs import controllers, stale_caches  # noqa: F401 (they register themselves)

    return SCENARIOS
