"""The server as a process: TLS, tokens, the kubeconfig, a kill without mercy and a second life. Waits for answers, never for time."""

import http.client
import os
import signal
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"


class Served:
    """A running ``kubesim serve`` and a connection to it with the certificate of its kubeconfig."""

    def __init__(self, directory: Path, *flags: str) -> None:
        tokens = directory / "tokens.csv"
        tokens.write_text('admin-token,admin,uid-admin,"system:masters"\n')
        command = [sys.executable, "-m", "kubesim", "serve", "--port", "0", "--token-auth-file", str(tokens), *flags]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline().split()
        assert line[:2] == ["kubesim", "serve:"], f"the server did not start: {line}"
        self.address = line[2].removeprefix("https://")
        self.kubeconfig = yaml.safe_load(Path(line[4]).read_text())
        self.context = ssl.create_default_context(cadata=self._pem("clusters", "cluster", "certificate-authority-data"))
        self.connection = http.client.HTTPSConnection(self.address, context=self.context, timeout=30)

    def _pem(self, section: str, part: str, key: str) -> str:
        import base64

        return base64.b64decode(self.kubeconfig[section][0][part][key]).decode()

    def ask(self, method: str, path: str, body: Any = None, token: str = "admin-token") -> tuple[int, Any]:
        """Send a request; returns status and JSON."""
        headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
        self.connection.request(method, path, body=None if body is None else orjson.dumps(body), headers=headers)
        answer = self.connection.getresponse()
        return answer.status, orjson.loads(answer.read() or b"null")

    def kill(self) -> None:
        """Kill the process without a chance to say goodbye."""
        os.kill(self.process.pid, signal.SIGKILL)
        self._end()

    def stop(self) -> int:
        """Ask the process to stop; returns its exit status."""
        self.process.terminate()
        return self._end()

    def _end(self) -> int:
        self.connection.close()
        status = self.process.wait(30)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return status


def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    flags = ("--data-dir", str(tmp_path / "data"), "--nodes", "0", "--components", "apiserver")
    acknowledged = {}
    for life in range(2):
        served = Served(tmp_path, *flags)
        for number in range(20):
            status, answer = served.ask("POST", CONFIG_MAPS, {"metadata": {"name": f"c{life}-{number}"}})
            assert status == 201
            acknowledged[answer["metadata"]["name"]] = answer["metadata"]
        served.kill()
    served = Served(tmp_path, *flags)
    kept = {item["metadata"]["name"]: item["metadata"] for item in served.ask("GET", CONFIG_MAPS)[1]["items"]}
    assert kept == acknowledged
    assert len({metadata["uid"] for metadata in kept.values()}) == len(kept)
    assert served.stop() == 0


def test_a_client_certificate_is_a_user_and_a_cluster_runs(tmp_path: Path) -> None:
    served = Served(tmp_path, "--nodes", "2")
    certificate, key = tmp_path / "admin.crt", tmp_path / "admin.key"
    certificate.write_text(served._pem("users", "user", "client-certificate-data"))
    key.write_text(served._pem("users", "user", "client-key-data"))
    served.connection.close()
    served.context.load_cert_chain(certificate, key)
    served.connection = http.client.HTTPSConnection(served.address, context=served.context, timeout=30)
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    status, answer = served.ask("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", review, token="")
    assert (status, answer["status"]["userInfo"]["username"]) == (201, "kubernetes-admin")
    nodes = served.ask("GET", "/api/v1/nodes", token="")[1]["items"]
    assert [node["metadata"]["name"] for node in nodes] == ["node-1", "node-2"]
    assert served.ask("FOO", CONFIG_MAPS, token="")[0] == 405
    assert served.stop() == 0


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--time-scale", "0"], "--time-scale is 0.0; expected a number above 0"),
        (["--components", "kubelett"], "--components has 'kubelett'; expected some of"),
        (["--etcd-compaction-interval", "soon"], "--etcd-compaction-interval is 'soon'; expected a duration"),
        (["--token-auth-file", "/nowhere/tokens"], "--token-auth-file /nowhere/tokens: No such file or directory"),
        (["--authorization-mode", "Maybe"], "--authorization-mode has 'Maybe'; expected one of"),
    ],
)
def test_bad_flags_are_one_sentence(flags: list[str], expected: str) -> None:
    command = [sys.executable, "-m", "kubesim", "serve", "--port", "0", *flags]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(f"kubesim serve: {expected}")
    assert done.stderr.count("\n") == 1
