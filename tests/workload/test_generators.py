"""Generated nodes and Pods: they fit, and a seed gives one workload."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubesim.api import quantity
from kubesim.kernel.loop import Kernel
from kubesim.workload.generators import REPLICAS, deployments
from kubesim.workload.manifests import ManifestError
from kubesim.workload.nodes import from_count, from_entries, from_template, parse_nodes


def asked(objects: list[dict], resource: str) -> int:
    return sum(
        each["spec"]["replicas"]
        * quantity.parse(each["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"][resource]).nanos
        for each in objects
    )


@given(st.integers(1, 3000), st.integers(1, 40), st.integers(0, 5))
def test_the_pods_are_as_many_as_asked_for_and_fit(pod_count: int, node_count: int, seed: int) -> None:
    nodes = from_count(node_count)
    made = deployments(pod_count, nodes, Kernel(seed).rng("workload"))
    assert sum(each["spec"]["replicas"] for each in made) == pod_count
    assert all(1 <= each["spec"]["replicas"] <= REPLICAS for each in made)
    assert len({each["metadata"]["name"] for each in made}) == len(made)
    if pod_count <= 110 * node_count:
        for resource, room in (("cpu", 8 * node_count), ("memory", 32 * 2**30 * node_count)):
            assert asked(made, resource) <= room * quantity.NANO
    assert made == deployments(pod_count, nodes, Kernel(seed).rng("workload"))


def test_another_seed_gives_another_workload() -> None:
    nodes = from_count(10)
    assert deployments(500, nodes, Kernel(1).rng("workload")) != deployments(500, nodes, Kernel(2).rng("workload"))


def test_no_nodes_no_limit() -> None:
    assert len(deployments(150, [], Kernel(0).rng("workload"))) == 2
    assert deployments(0, [], Kernel(0).rng("workload")) == []
    with pytest.raises(ValueError, match="the number of Pods is -1; expected 0 or more"):
        deployments(-1, [], Kernel(0).rng("workload"))


def test_nodes_are_numbered_with_equally_many_digits() -> None:
    assert [node["metadata"]["name"] for node in from_count(10)][:2] == ["node-01", "node-02"]
    assert from_count(0) == []
    for count in (-1, True, 10**9, "3"):
        with pytest.raises(ValueError, match=r"the number of nodes is .*; expected a number from 0 to"):
            from_count(count)  # type: ignore[arg-type]


def test_a_template_is_filled_in() -> None:
    template = {
        "metadata": {"labels": {"zone": "a"}},
        "spec": {"taints": [{"key": "k", "effect": "NoSchedule"}]},
        "status": {"capacity": {"cpu": "2"}, "allocatable": {"memory": "1Gi"}},
    }
    node = from_template(template, "n")
    assert node["metadata"] == {
        "name": "n",
        "labels": {"kubernetes.io/arch": "amd64", "kubernetes.io/hostname": "n", "kubernetes.io/os": "linux", "zone": "a"},
    }
    assert node["status"]["capacity"] == {"cpu": "2", "ephemeral-storage": "100Gi", "memory": "1Gi", "pods": "110"}
    assert node["status"]["allocatable"]["memory"] == "1Gi"
    assert node["spec"] == template["spec"]


MIXED = """
- count: 2
- count: 1
  prefix: gpu-
  template: {status: {capacity: {nvidia.com/gpu: "4"}}}
- {apiVersion: v1, kind: Node, metadata: {name: own}}
---
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Node, metadata: {name: listed}}
"""


def test_a_file_may_mix_groups_and_nodes() -> None:
    assert [node["metadata"]["name"] for node in parse_nodes(MIXED)] == ["node-1", "node-2", "gpu-1", "own", "listed"]
    assert parse_nodes("") == []
    assert [node["metadata"]["name"] for node in from_entries([{"count": 1}])] == ["node-1"]


BAD = [
    ("- 3", "[0]: the value is 3"),
    ("count: -1", "line 1: count: the number of nodes is -1; expected a number from 0 to"),
    ("count: many", "count: the number of nodes is many"),
    ("count: 1\ntemplates: {}", "line 2: templates: unknown field; expected count, template or prefix"),
    ("count: 1\ntemplate: 3", "template: Invalid value: 3: expected a Node without a name"),
    ("count: 1\nprefix: 3", "prefix: Invalid value: 3: expected a string"),
    ("count: 1\ntemplate:\n  status:\n    capacity:\n      cpu: 1x", 'line 5: template.status.capacity[cpu]: Invalid value: "1x": '),
    ("apiVersion: v1\nkind: Pod\nmetadata: {name: a}", 'kind: Invalid value: "Pod": expected "Node"'),
    ("[{count: 1, prefix: a-}, {count: 1, prefix: a-}]", 'two nodes are called "a-1"; expected different names'),
    ("a: [", "not YAML"),
]


@pytest.mark.parametrize(("text", "message"), BAD, ids=[text for text, _ in BAD])
def test_a_bad_file_of_nodes_is_refused_with_its_place(text: str, message: str) -> None:
    with pytest.raises(ManifestError) as caught:
        parse_nodes(text, "nodes.yaml")
    assert str(caught.value).startswith("nodes.yaml: ")
    assert message in str(caught.value)
