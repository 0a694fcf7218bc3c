"""The pytest plugin: the fixture ``kubesim``, a served cluster of two nodes whose clock stands until the test moves it.

::

    def test_a_deployment_becomes_available(kubesim):
        kubesim.cluster.apply("web.yaml")
        kubesim.cluster.run_until("Deployment web available")

``kubesim.kubeconfig`` is a file for kubectl and any client, ``kubesim.client`` a small client, ``kubesim.api_client`` the official one,
``kubesim.cluster`` the in-process ``Cluster`` with ``advance("5m")``, ``kubesim.faults`` the faults of its API. The marker
``@pytest.mark.kubesim(nodes=5, seed=1, time="real", ...)`` has other arguments of ``kubesim.server.embedded.Embedded``.

pytest imports this module at every start, so nothing else is imported before a test asks for the fixture.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from kubesim.server.embedded import Embedded


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", "kubesim(nodes, seed, time, **flags): what the cluster of the fixture `kubesim` is like")


@pytest.fixture(scope="session")
def _kubesim_certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates for all clusters of the session: they take longer to make than a cluster."""
    return tmp_path_factory.mktemp("kubesim-pki")


@pytest.fixture
def kubesim_factory(tmp_path_factory: pytest.TempPathFactory, _kubesim_certificates: Path) -> Iterator[Callable[..., "Embedded"]]:
    """Start served clusters; they end with the test. The arguments are those of ``kubesim.server.embedded.Embedded``."""
    from kubesim.server.embedded import Embedded

    running: list[Embedded] = []

    def start(**arguments: Any) -> Embedded:
        home = tmp_path_factory.mktemp("kubesim")
        running.append(Embedded(**{"home": home, "cert_dir": str(_kubesim_certificates), **arguments}))
        return running[-1]

    yield start
    for served in reversed(running):
        served.close()


@pytest.fixture
def kubesim(request: pytest.FixtureRequest, kubesim_factory: Callable[..., "Embedded"]) -> "Embedded":
    """A served cluster for this test alone."""
    marker = request.node.get_closest_marker("kubesim")
    if marker is None:
        return kubesim_factory()
    if marker.args:
        raise pytest.UsageError(f"the marker kubesim has {marker.args!r}; expected named arguments, such as nodes=5")
    return kubesim_factory(**marker.kwargs)
