"""What a Pod costs in the vocabulary: create of the 2nd to Nth Pod of a template, a status write, a look at its requests."""

from kubesim.api import resources, selectors
from kubesim.api.kinds import KINDS

POD = KINDS.by_resource("pods")
CONTAINERS = [
    {
        "name": "c",
        "image": "registry.example/web:1",
        "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}},
        "ports": [{"containerPort": 80}],
        "env": [{"name": "A", "value": "b"}],
    }
]
LABELS = {"app": "web", "pod-template-hash": "abc"}
OWNERS = [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": "u", "controller": True, "blockOwnerDeletion": True}]


def pods(count: int) -> list[dict]:
    """Pods of one template, as a ReplicaSet's controller makes them."""
    spec = {"containers": CONTAINERS}
    shared = {"namespace": "default", "labels": LABELS, "ownerReferences": OWNERS}
    return [
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"web-abc-{index:05}", **shared}, "spec": spec} for index in range(count)
    ]


def test_create(benchmark, scale) -> None:
    given = pods(scale(50, 50_000))

    def work() -> int:
        errors = 0
        for pod in given:
            made = POD.prepare_create(POD.default(pod))
            errors += len(POD.validate(made))
        return errors

    benchmark.extra_info.update(room="api", operation="default, prepare, validate a Pod of a template", count=len(given), unit="pods")
    assert benchmark(work) == 0


def test_status(benchmark, scale) -> None:
    old = [POD.prepare_create(POD.default(pod)) for pod in pods(scale(50, 50_000))]
    status = {"phase": "Running", "podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}], "qosClass": "Burstable"}
    new = [{**pod, "metadata": {**pod["metadata"], "resourceVersion": "2"}, "status": status} for pod in old]

    def work() -> int:
        errors = 0
        for after, before in zip(new, old):
            errors += len(POD.validate_status(POD.prepare_status(after, before), before))
        return errors

    benchmark.extra_info.update(room="api", operation="prepare and validate a Pod status", count=len(new), unit="writes")
    assert benchmark(work) == 0


def test_requests_and_selector(benchmark, scale) -> None:
    made = [POD.default(pod) for pod in pods(scale(50, 100_000))]
    selector = selectors.from_object({"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "x", "operator": "DoesNotExist"}]})

    def work() -> tuple[int, int]:
        matches, millicores, found = selector.matches, 0, 0
        for pod in made:
            millicores += resources.pod_requests(pod["spec"])["cpu"]
            found += matches(pod["metadata"]["labels"])
        return millicores, found

    benchmark.extra_info.update(room="api", operation="requests and selector of a Pod", count=len(made), unit="pods")
    assert benchmark(work) == (100 * len(made), len(made))
