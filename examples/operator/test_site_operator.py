"""How to test an operator: a cluster in virtual time, faults at its API, and a bug that they find. Needs ``kubesim[server,clients]``."""

from pathlib import Path

import pytest

pytest.importorskip("cryptography", reason="kubesim[server] is not installed")
pytest.importorskip("kopf", reason="kubesim[clients] is not installed")
pytest.importorskip("kubernetes", reason="kubesim[clients] is not installed")
# kopf leaves a connection to the collector now and then when it is stopped; that is no fault of the operator.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
HERE = Path(__file__).parent
OPERATOR = HERE / "site_operator.py"
BUG = ('"name": f"build-{name}"', '"generateName": f"build-{name}-"')  # one word, and every test without faults still passes
HANDLED = "kopf.zalando.org/last-handled-configuration"
SITE = {"apiVersion": "example.com/v1", "kind": "Site", "metadata": {"name": "blog"}, "spec": {"image": "builder:1"}}


@pytest.fixture
def operator_with_a_bug(tmp_path: Path) -> Path:
    """The operator as its first author wrote it."""
    path = tmp_path / "operator.py"
    path.write_text(OPERATOR.read_text().replace(*BUG))
    return path


def is_handled(cluster) -> bool:
    """Whether the operator is done with the Site: kopf notes what it has handled, after all its tries."""
    return HANDLED in cluster.get("Site", "blog")["metadata"].get("annotations", {})


def jobs_of_a_site(kubesim, operator: Path) -> int:
    """Run the operator, create a Site, wait until it is built; how many Jobs that took."""
    kubesim.cluster.apply(HERE / "site.yaml")
    with kubesim.kopf(operator):
        kubesim.cluster.apply(SITE)
        kubesim.wait_for(is_handled)
        kubesim.wait_for("Site blog Built")
    return len(kubesim.cluster.list("Job"))


def test_a_site_is_built(kubesim) -> None:
    assert jobs_of_a_site(kubesim, OPERATOR) == 1


def test_a_lost_answer_changes_nothing(kubesim) -> None:
    lost = kubesim.faults.add("lost-answer", verb="create", resource="jobs.batch", times=1)
    assert jobs_of_a_site(kubesim, OPERATOR) == 1
    assert lost.hits == 1


def test_the_bug_is_not_seen_without_faults(kubesim, operator_with_a_bug: Path) -> None:
    assert jobs_of_a_site(kubesim, operator_with_a_bug) == 1


def test_the_bug_is_seen_when_an_answer_gets_lost(kubesim, operator_with_a_bug: Path) -> None:
    kubesim.faults.add("lost-answer", verb="create", resource="jobs.batch", times=1)
    assert jobs_of_a_site(kubesim, operator_with_a_bug) == 2


@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_happens_there_is_one_job(kubesim_factory, seed: int) -> None:
    kubesim = kubesim_factory(seed=seed)
    kinds = ["internal-error", "too-many-requests", "lost-answer", "lost-request", "cut-watch", "gone"]
    kubesim.faults.random(0.1, kinds=kinds, user="operator", resources=["sites.example.com", "jobs.batch"], times=2)
    assert jobs_of_a_site(kubesim, OPERATOR) == 1
