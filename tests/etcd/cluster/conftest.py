"""A cluster under a test's hand: time passes in ``run``, requests are answered in ``ask``."""

from typing import Any

import pytest

from kubesim.etcd.cluster import EtcdCluster
from kubesim.etcd.member import MemberSettings
from kubesim.kernel import Kernel, Network
from kubesim.kernel.time import MILLISECOND, SECOND
from kubesim.testing.etcd.schedules import Checks


class World:
    """A kernel, a cluster that is checked at every step, and a client."""

    def __init__(self, member_count: int, seed: int = 1, **settings: Any) -> None:
        self.kernel = Kernel(seed)
        self.checks = Checks()
        self.cluster = EtcdCluster(
            self.kernel, Network(self.kernel), member_count, settings=MemberSettings(**settings), observer=self.checks
        )
        self.client = self.cluster.client("app")
        self.run(2.5)

    def run(self, seconds: float) -> None:
        self.kernel.run_due(self.kernel.now_ns + int(seconds * SECOND))

    def ask(self, *request: Any, client: Any = None, serializable: bool = False, patience: float = 12.0) -> Any:
        """Send a request, let time pass until it is answered, and return the answer; raise its error."""
        answers: list[tuple[Any, Exception | None]] = []
        submit = (client or self.client).submit
        submit(request, lambda answer, error: answers.append((answer, error)), serializable)
        deadline_ns = self.kernel.now_ns + int(patience * SECOND)
        while not answers and self.kernel.now_ns < deadline_ns:
            self.kernel.run_due(self.kernel.now_ns + MILLISECOND)
        assert answers, f"no answer to {request} in {patience} s"
        if answers[0][1] is not None:
            raise answers[0][1]
        return answers[0][0]

    def service(self, host: str) -> Any:
        return self.cluster.machines[host].service

    @property
    def leader(self) -> str:
        assert self.cluster.leader is not None, "no leader"
        return self.cluster.leader.name

    @property
    def followers(self) -> list[str]:
        return [host for host in self.cluster.hosts if host != self.leader]


@pytest.fixture
def world():
    return World
