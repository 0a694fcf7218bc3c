"""Configuration: friendly arguments in, checked values out, and errors that name the field."""

from pathlib import Path

import pytest

from kubesim import Cluster, ClusterConfig
from kubesim.cluster.config import configure, duration_ns
from kubesim.testing.builders import node


def names(config: ClusterConfig) -> list[str]:
    return [each["metadata"]["name"] for each in config.nodes]


def test_nodes_may_be_a_number_a_template_objects_or_a_file(tmp_path: Path) -> None:
    path = tmp_path / "nodes.yaml"
    path.write_text("count: 2\nprefix: file-\n")
    cases = [
        (0, []),
        (2, ["node-1", "node-2"]),
        ({"count": 1, "prefix": "gpu-"}, ["gpu-1"]),
        ([{"count": 1}, node("own")], ["node-1", "own"]),
        (path, ["file-1", "file-2"]),
        (str(path), ["file-1", "file-2"]),
    ]
    for nodes, expected in cases:
        assert names(configure(nodes)) == expected


BAD = [
    ({"nodes": -1}, "the number of nodes is -1; expected a number from 0 to 200000"),
    ({"nodes": True}, "nodes is True; expected a number, a template, a list of Nodes or a file of these"),
    ({"nodes": 1.5}, "nodes is 1.5; expected a number"),
    ({"nodes": [node("a"), node("a")]}, 'nodes: two nodes are called "a"; expected different names'),
    ({"nodes": [node("a", cpu="1x")]}, 'nodes: Node "a": status.capacity[cpu]: Invalid value: "1x": '),
    ({"seed": -1}, "seed is -1; expected a number from 0 to 18446744073709551615"),
    ({"seed": "x"}, "seed is 'x'; expected a number"),
    ({"watch_latency": "fast"}, "watch_latency is 'fast'; expected a duration such as \"30s\""),
    ({"watch_latency": "2m"}, "watch_latency_ns is 120000000000; expected a number from 0 to 60000000000 (0s to 1m0s)"),
    ({"watch_latency": -1}, "watch_latency is -1 ns; expected 0 or more"),
    ({"debug": 1}, "debug is 1; expected True or False"),
    ({"timeline_entries_max": -1}, "timeline_entries_max is -1; expected a number from 0 to"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD, ids=[str(arguments) for arguments, _ in BAD])
def test_a_bad_value_is_named(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        Cluster(**arguments)
    assert message in str(caught.value)


def test_durations() -> None:
    assert [duration_ns("x", value) for value in (0, 5, "1ms", "1m30s")] == [0, 5, 1_000_000, 90_000_000_000]


def test_a_config_is_frozen() -> None:
    with pytest.raises(AttributeError):
        configure(1).seed = 3  # type: ignore[misc]
