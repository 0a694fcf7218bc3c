"""How much of the recordings of a real kube-apiserver v1.36 the server in process answers exactly, as a floor per family.

What is missing to 100 % is mostly what only the HTTP server has: routes, media types, tokens, custom resources; the rest is in
ARCHITECTURE.md's table of deviations.
"""

import pytest

from tests.fidelity.api_replay_inprocess import SHARED, Replay

FLOORS = {"crud": 0.97, "delete": 0.98, "list": 0.97, "patch": 0.97, "ssa": 0.97, "subresources": 0.86, "validation": 0.95}


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.exists(), reason="the folder of recordings is not beside the checkout")
@pytest.mark.parametrize("family", FLOORS)
def test_recorded_answers(family: str, record_property) -> None:
    replay = Replay(family)
    record_property("passed", f"{replay.passed} of {replay.asked} lines, {replay.left_out} left out")
    assert replay.asked > 200
    assert replay.passed >= FLOORS[family] * replay.asked, replay.differences[0]
