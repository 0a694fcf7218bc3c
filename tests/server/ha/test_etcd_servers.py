"""``kubesim serve --etcd-servers``: on Debian's etcd, over a restart of the server, and the flags that cannot be."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from kubesim.api.errors import ApiError
from kubesim.server.apiserver.flags import BadFlags, Flags
from kubesim.server.apiserver.process import CannotStart, run
from kubesim.server.apiserver.remote import changes_of, records_of
from kubesim.server.etcd.client import BadEndpoint, Endpoint, read_endpoints
from kubesim.server.http_client import Client
from kubesim.testing import builders
from tests.server.etcd.members import Zygote, free_port
from tests.server.ha.kills import MAPS, ApiServerProcess

DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
SITE = Path(__file__).parents[3] / "examples" / "operator" / "site.yaml"


@pytest.fixture
def debian_etcd(tmp_path: Path) -> Iterator[str]:
    """A real etcd; its address."""
    if not shutil.which("etcd"):
        pytest.skip("Debian's etcd is not installed (tools/debian_packages.sh)")
    client, peer = f"http://127.0.0.1:{free_port()}", f"http://127.0.0.1:{free_port()}"
    command = ["etcd", "--data-dir", str(tmp_path / "etcd"), "--listen-client-urls", client, "--advertise-client-urls", client]
    command += ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    yield client
    process.kill()
    process.wait()


@pytest.fixture
def zygote() -> Iterator[Zygote]:
    """Starts servers."""
    found = Zygote()
    yield found
    found.close()


def first_answer(work: Any) -> Any:
    """Ask until it is there."""
    deadline = time.monotonic() + 60
    while True:
        found = work()
        if found:
            return found
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_whole_cluster_lives_in_a_real_etcd(debian_etcd: str, zygote: Zygote, tmp_path: Path) -> None:
    import yaml

    server = ApiServerProcess(zygote, tmp_path, "apiserver", debian_etcd, "--nodes", "2", "--time-scale", "20")
    server.start()
    server.wait()
    client = Client.of(server.kubeconfig)
    client.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", yaml.safe_load(SITE.read_text()))
    client.post(DEPLOYMENTS, builders.deployment("web", 2))
    first_answer(lambda: client.get(f"{DEPLOYMENTS}/web").get("status", {}).get("availableReplicas") == 2)
    first_answer(lambda: "sites" in [each["name"] for each in _resources(client)])
    site = {"apiVersion": "example.com/v1", "kind": "Site", "metadata": {"name": "blog"}, "spec": {"image": "builder:1"}}
    made = client.post("/apis/example.com/v1/namespaces/default/sites", site)
    assert client.get("/api/v1/events")["items"], "events are written under leases"
    pods = {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in client.get("/api/v1/namespaces/default/pods")["items"]}
    assert len(pods) == 2
    client.close()
    server.kill()

    server.start()  # all that it was is in etcd
    server.wait()
    client = Client.of(server.kubeconfig)
    first_answer(lambda: "sites" in [each["name"] for each in _resources(client)])
    assert client.get("/apis/example.com/v1/namespaces/default/sites/blog") == made
    assert {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in client.get("/api/v1/namespaces/default/pods")["items"]} == pods
    with pytest.raises(ApiError) as refused:
        client.put(f"{DEPLOYMENTS}/web", builders.deployment("web", 2) | {"metadata": {"name": "web", "resourceVersion": "1"}})
    assert refused.value.code == 409
    created = client.post(MAPS, builders.config_map("new"))
    assert created["metadata"]["uid"] not in pods.values()
    client.close()
    if shutil.which("etcdctl"):
        command = ["etcdctl", "--endpoints", debian_etcd, "get", "/registry/configmaps/default/new", "--print-value-only"]
        done = subprocess.run(command, capture_output=True, timeout=30, check=True, env={"ETCDCTL_API": "3", "PATH": "/usr/bin:/bin"})
        assert orjson.loads(done.stdout)["metadata"]["uid"] == created["metadata"]["uid"]
    assert server.kill(15) == 0


def _resources(client: Client) -> list[Any]:
    try:
        return client.get("/apis/example.com/v1")["resources"]
    except ApiError:
        return []


def test_what_is_in_etcd_becomes_records_and_changes() -> None:
    kvs = [
        {"key": b"/b", "value": b'{"n": 2}', "create_revision": 3, "mod_revision": 5, "version": 2},
        {"key": b"/a", "value": b'{"n": 1}', "create_revision": 3, "mod_revision": 3, "version": 1, "lease": 7},
        {"key": b"/c", "value": b"not json", "create_revision": 5, "mod_revision": 5, "version": 1},
    ]
    records = [(each.key, each.value, each.mod_revision, each.sub, each.lease) for each in records_of(kvs)]
    assert records == [(b"/a", {"n": 1}, 3, 0, 7), (b"/b", {"n": 2}, 5, 0, 0), (b"/c", b"not json", 5, 1, 0)]
    events = [{"kv": kvs[0]}, {"type": "DELETE", "kv": {"key": b"/a", "mod_revision": 5}}, {"kv": {**kvs[1], "mod_revision": 6}}]
    changes = [(each.key, each.is_delete, each.revision, each.sub) for each in changes_of(events)]
    assert changes == [(b"/b", False, 5, 0), (b"/a", True, 5, 1), (b"/a", False, 6, 0)]


def test_endpoints_are_read() -> None:
    assert read_endpoints("http://a:1, https://[::1]:2379/") == [Endpoint("a", 1, False), Endpoint("::1", 2379, True)]
    for text in ("a:2379", "http://a", "ftp://a:1", "http://a:1/x", "", "http://a:port"):
        with pytest.raises(BadEndpoint, match="expected URLs such as"):
            read_endpoints(text)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({"etcd_servers": "127.0.0.1:2379"}, "--etcd-servers has '127.0.0.1:2379'; expected URLs such as http://127.0.0.1:2379"),
        ({"etcd_servers": "http://a:1", "data_dir": "x"}, "--data-dir is 'x'; expected none with --etcd-servers"),
        ({"etcd_servers": "http://a:1", "time": "stepped"}, "--time is 'stepped'; expected real with --etcd-servers"),
        ({"etcd_servers": "http://a:1", "etcd_certfile": "x"}, "--etcd-certfile and --etcd-keyfile go together"),
        ({"etcd_servers": "https://a:1", "etcd_cafile": "/nowhere"}, "the certificates for --etcd-servers: No such file or directory"),
        ({"etcd_cafile": "x"}, "--etcd-cafile is 'x'; expected --etcd-servers beside it"),
        ({"etcd_servers": "http://127.0.0.1:1"}, "--etcd-servers http://127.0.0.1:1: there is no connection available"),
    ],
)
def test_flags_that_cannot_be_are_one_sentence(flags: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kubesim.server.etcd.client.TIMEOUT_SECONDS", 0.2)
    with pytest.raises((BadFlags, CannotStart)) as error:
        run(Flags(port=0, **flags))
    assert str(error.value).startswith(expected)
    assert "\n" not in str(error.value)


def test_manifests_are_for_kubectl(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadFlags, match="MANIFESTS are given; expected none with --etcd-servers: apply them with kubectl"):
        run(Flags(port=0, etcd_servers="http://127.0.0.1:1"), [str(SITE)])
