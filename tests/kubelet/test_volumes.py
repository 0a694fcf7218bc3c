"""Volumes and environment: what a Pod waits for, how it is said, and that it goes on when it is there."""

from typing import Any

import pytest

from kubesim.apiserver.requests import get, update
from kubesim.kubelet.doors.volumes import File, locate
from kubesim.kubelet.models.contract import Image
from tests.kubelet.world import World, container, pod

IMAGES = {"*": Image(0)}


def configmap(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}, "data": data}


@pytest.mark.parametrize(
    ("volume", "message"),
    [
        ({"configMap": {"name": "settings"}}, 'configmap "settings" not found'),
        ({"secret": {"secretName": "keys"}}, 'secret "keys" not found'),
        ({"projected": {"sources": [{"configMap": {"name": "settings"}}, {"downwardAPI": {}}]}}, 'configmap "settings" not found'),
        ({"configMap": {"name": "other", "items": [{"key": "b", "path": "b"}]}}, "references non-existent config key: b"),
    ],
    ids=["configmap", "secret", "projected", "key"],
)
def test_a_volume_waits(volume: dict[str, Any], message: str) -> None:
    world = World(images=IMAGES)
    world.create(configmap("other", a="1"), "configmaps")
    world.place(pod(volumes=[{"name": "config", **volume}]))
    world.run(60)
    text = f'MountVolume.SetUp failed for volume "config" : {message}'
    assert world.status()["phase"] == "Pending"
    assert world.events() == [("Warning", "FailedMount", text)]
    assert world.kubelets.waiting() == [("default/web", text)]


def test_a_volume_comes() -> None:
    world = World(images=IMAGES)
    world.place(pod(volumes=[{"name": "config", "configMap": {"name": "settings"}}]))
    world.run(5)
    world.create(configmap("settings"), "configmaps")
    world.run(10)
    # Upstream's tries come at 0, 0.5, 1.5, 3.5, 7.5 s: the last of these is the first that finds it.
    assert [round(time, 3) for time, status in world.reports() if status["phase"] == "Running"] == [8.101]
    assert world.kubelets.waiting() == []


@pytest.mark.parametrize(
    "volume",
    [
        {"emptyDir": {}},
        {"hostPath": {"path": "/var"}},
        {"configMap": {"name": "settings", "optional": True}},
        {"downwardAPI": {"items": []}},
        {"projected": {"sources": [{"serviceAccountToken": {"path": "token"}}, {"secret": {"name": "keys", "optional": True}}]}},
    ],
    ids=lambda volume: next(iter(volume)),
)
def test_a_volume_is_served(volume: dict[str, Any]) -> None:
    world = World(images=IMAGES)
    world.place(pod(volumes=[{"name": "data", **volume}]))
    world.run(5)
    assert world.status()["phase"] == "Running"


@pytest.mark.parametrize(
    ("volume", "reason"),
    [
        (
            {"persistentVolumeClaim": {"claimName": "mysql"}},
            'volume "data" waits for PersistentVolumeClaim default/mysql to be provisioned and attached',
        ),
        ({"csi": {"driver": "x"}}, 'volume "data" waits for a driver of csi'),
    ],
    ids=["claim", "csi"],
)
def test_a_volume_that_nobody_serves(volume: dict[str, Any], reason: str) -> None:
    world = World(images=IMAGES)
    world.place(pod(volumes=[{"name": "data", **volume}]))
    world.run(200)
    assert world.status()["phase"] == "Pending"
    assert world.kubelets.waiting() == [("default/web", reason)]
    text = "Unable to attach or mount volumes: unmounted volumes=[data], unattached volumes=[], failed to process volumes=[]: "
    assert world.events() == [("Warning", "FailedMount", text + "timed out waiting for the condition")]


class Driver:
    """A volume plugin that is ready when told."""

    def __init__(self) -> None:
        self.ready = False
        self.waiters: list[Any] = []

    def set_up(self, pod: Any, volume: Any, node_name: str, done: Any) -> str:
        if self.ready:
            return ""
        self.waiters.append(done)
        return f"volume {volume['name']} is being attached to {node_name}"


def test_a_plugin_serves_a_kind_of_volume() -> None:
    driver = Driver()
    world = World(images=IMAGES, volume_plugins={"persistentVolumeClaim": driver})
    world.place(pod(volumes=[{"name": "data", "persistentVolumeClaim": {"claimName": "mysql"}}]))
    world.run(20)
    assert world.kubelets.waiting() == [("default/web", "volume data is being attached to node-0")]
    driver.ready = True
    for waiter in driver.waiters:
        waiter()
    world.run(5)
    assert world.status()["phase"] == "Running"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"envFrom": [{"configMapRef": {"name": "settings"}}]}, 'configmap "settings" not found'),
        ({"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "a"}}}]}, 'secret "keys" not found'),
        (
            {"env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "other", "key": "b"}}}]},
            "couldn't find key b in ConfigMap default/other",
        ),
    ],
    ids=["from", "secret", "key"],
)
def test_an_environment_that_cannot_be_made(fields: dict[str, Any], message: str) -> None:
    world = World(images=IMAGES)
    world.create(configmap("other", a="1"), "configmaps")
    world.place(pod(containers=[container(**fields)]))
    world.run(15)
    state = world.status()["containerStatuses"][0]["state"]["waiting"]
    assert state == {"reason": "CreateContainerConfigError", "message": message}
    assert ("Warning", "Failed", f"Error: {message}") in world.events()
    world.create(configmap("settings"), "configmaps")
    world.create({**configmap("keys", a="MQ=="), "kind": "Secret"}, "secrets")
    current = world.send(get("configmaps", "default", "other"))
    world.send(update("configmaps", {**current, "data": {"b": "2"}}))
    world.run(15)
    assert world.status()["phase"] == "Running"


def test_a_file_is_read_in_the_order_of_time() -> None:
    file = File()
    stop = file.stream(100, 10, "tick %d")
    file.append(115, "note")
    stop(130)
    assert [(line.time_ns, line.text) for line in file.read(1000)] == [
        (100, "tick 0"), (110, "tick 1"), (115, "note"), (120, "tick 2"), (130, "tick 3"),
    ]  # fmt: skip
    assert [line.text for line in file.read(120, after_ns=110)] == ["note", "tick 2"]
    with pytest.raises(ValueError, match="period_ns: 0: expected a positive number"):
        file.stream(0, 0, "x")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/data/a.log", ("data", "a.log")),
        ("/data/deep/a.log", ("deep", "sub/a.log")),
        ("/database/a.log", None),
        ("/host/a.log", None),
        ("/data", ("data", "")),
    ],
)
def test_a_path_belongs_to_the_longest_mount(path: str, expected: tuple[str, str] | None) -> None:
    mounts = [
        {"name": "data", "mountPath": "/data/"},
        {"name": "deep", "mountPath": "/data/deep", "subPath": "sub"},
        {"name": "host", "mountPath": "/host"},
    ]
    assert locate({"volumeMounts": mounts}, path, ("data", "deep")) == expected
