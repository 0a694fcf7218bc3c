"""Bad input: the command, what it says, the exit status; and nothing of a bad file is applied."""

from pathlib import Path

import pytest

from kubesim.cli.main import main

DEPLOYMENT = """apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  replicas: 1
  selector:
    matchLabels: {app: web}
  template:
    metadata:
      labels: {app: web}
    spec:
      containers:
      - name: main
        image: nginx:1.27
        resources:
          requests: {cpu: 100m}
"""


def changed(old: str, new: str) -> str:
    assert old in DEPLOYMENT
    return DEPLOYMENT.replace(old, new, 1)


FILES = {
    "not YAML": ("a: [1\nb: 2\n", "document 1, line 2, column 2: not YAML: while parsing a flow sequence did not find expected ',' or ']'"),
    "a binary": ("a: \x00", "document 1: not YAML: unacceptable character #x0000: control characters are not allowed"),
    "empty": ("# nothing yet\n---\n", "holds no objects; expected at least one Kubernetes object"),
    "not an object": ("- a\n- b\n", "document 1, line 1: the value is a list; expected a mapping with apiVersion, kind and metadata"),
    "no name": (
        changed("name: web", "labels: {}"),
        "document 1 (Deployment \"\"), line 3: metadata.name: missing; expected the object's name",
    ),
    "an unknown kind": (
        changed("kind: Deployment", "kind: Deploymnet"),
        'document 1 (Deploymnet "web"), line 2: kind: no kind "Deploymnet" in version "apps/v1"; expected Deployment',
    ),
    "a kind of another version": (
        changed("apps/v1", "apps/v1beta1"),
        'document 1 (Deployment "web"), line 1: apiVersion: no kind "Deployment" in version "apps/v1beta1"; expected "apps/v1"',
    ),
    "an unknown field": (
        changed("replicas: 1", "replica: 1"),
        'document 1 (Deployment "web"), line 6: spec.replica: unknown field, its value is 1; expected for example "replicas"',
    ),
    "a wrong type": (
        changed("replicas: 1", 'replicas: "three"'),
        'document 1 (Deployment "web"), line 6: spec.replicas: Invalid value: "three": expected an integer',
    ),
    "a list for a mapping": (
        changed("labels: {app: web}", "labels: [app]"),
        'document 1 (Deployment "web"), line 11: spec.template.metadata.labels: Invalid value: a list: expected an object',
    ),
    "negative replicas": (
        changed("replicas: 1", "replicas: -1"),
        'document 1 (Deployment "web"), line 6: spec.replicas: Invalid value: -1: must be greater than or equal to 0',
    ),
    "no quantity": (
        changed("100m", "1x"),
        'document 1 (Deployment "web"), line 17: spec.template.spec.containers[0].resources.requests.cpu: Invalid value: "1x": '
        'expected a quantity such as "500m" or "1Gi"',
    ),
    "a duplicate name": (
        DEPLOYMENT + "---\n" + DEPLOYMENT,
        'document 2 (Deployment "web"), line 22: metadata.name: Duplicate value: "web": document 1 is the same object; expected it once',
    ),
    "a selector that does not match": (
        changed("labels: {app: web}", "labels: {app: other}"),
        'document 1 (Deployment "web"), line 11: spec.template.metadata.labels: Invalid value: {"app":"other"}: `selector` does not match '
        "template `labels`",
    ),
    "an impossible name": (
        changed("name: web", "name: Web_1"),
        'document 1 (Deployment "Web_1"), line 4: metadata.name: Invalid value: "Web_1": a lowercase RFC 1123 subdomain must consist of',
    ),
    "a missing namespace": (
        changed("name: web", "name: web\n  namespace: shop"),
        'document 1 (Deployment "web"), line 1: namespaces "shop" not found',
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_a_bad_manifest(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text, message = FILES[name]
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    assert main(["run", str(path), "--nodes", "1"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"kubesim: {path}: ")
    assert message in err


def test_every_problem_of_a_file_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(changed("replicas: 1", "replicas: -1") + "---\n" + changed("100m", "-5").replace("name: web", "name: two"))
    assert main(["run", str(path)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(": document ")[2][:1] for line in lines] == ["1", "2"]


OPTIONS = [
    (["run", "no-such.yaml"], "no-such.yaml: there is no such file; expected a YAML or JSON manifest"),
    (["run"], "nothing to run; expected a MANIFEST, --pods N or --flow"),
    (["run", "--pods", "-1"], "--pods is -1; expected 0 or more"),
    (["run", "--pods", "1", "--nodes", "-3"], "--nodes is -3; expected 0 or more"),
    (["run", "--pods", "1", "--nodes", "3", "--nodes-file", "x"], "--nodes and --nodes-file are both given; expected one of them"),
    (["run", "--pods", "1", "--nodes", "1000000"], "the number of nodes is 1000000; expected a number from 0 to 200000"),
    (
        ["run", "--pods", "1", "--nodes-file", "no.yaml"],
        "no.yaml: cannot be read: No such file or directory; expected a YAML or JSON file of Nodes",
    ),
    (["run", "--pods", "1", "--seed", "-1"], "seed is -1; expected a number from 0 to 18446744073709551615"),
    (["run", "--pods", "1", "--until", "soon"], '--until is "soon"; expected "converged" or a duration such as "90s" or "1h30m"'),
    (["run", "--pods", "1", "--report", "r.pdf"], '--report is "r.pdf"; expected a file name that ends in .html or .md'),
    (["run", "--pods", "1", "--report", "no/r.md"], '--report is "no/r.md"; expected a file in a directory that exists'),
    (["run", "--pods", "many"], "Invalid value for '--pods': 'many' is not a valid integer."),
    (["run", "--pod", "1"], "No such option"),
    (["start"], "No such command 'start'"),
]


@pytest.mark.parametrize(("arguments", "message"), OPTIONS, ids=[" ".join(arguments) for arguments, _ in OPTIONS])
def test_a_bad_option(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err


def test_a_bad_file_of_nodes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "nodes.yaml"
    path.write_text("- count: 3\n  template:\n    status:\n      capacity:\n        cpu: 1x\n")
    assert main(["run", "--pods", "1", "--nodes-file", str(path)]) == 2
    assert f'{path}: document 1, line 5: [0].template.status.capacity[cpu]: Invalid value: "1x": ' in capsys.readouterr().err
