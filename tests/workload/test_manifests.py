"""Documents into objects with an address, and every problem as a sentence."""

from pathlib import Path

import pytest

from kubesim.workload.manifests import ManifestError, from_objects, parse, read, shown, sources

POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n"


def test_lists_are_unrolled_and_typed() -> None:
    inner = POD.replace("\n", "\n    ")
    text = f"apiVersion: v1\nkind: ConfigMapList\nitems:\n- metadata: {{name: a}}\n- apiVersion: v1\n  kind: List\n  items:\n  - {inner}"
    manifest = parse(text)
    assert [item.label for item in manifest.items] == ['ConfigMap "a"', 'Pod "a"']
    assert manifest.items[1].problem("spec.x", "wrong").line == 8
    assert str(manifest.items[1].problem("spec.x", "wrong")) == '<text>: document 1 (Pod "a"), line 8: items[1].items[0].spec.x: wrong'


BAD = [
    ("", "<text>: holds no objects; expected at least one Kubernetes object"),
    ("---\n# nothing\n---\n", "<text>: holds no objects; expected at least one Kubernetes object"),
    ("hello", '<text>: document 1, line 1: the value is "hello"; expected a mapping with apiVersion, kind and metadata'),
    ("kind: Pod\nmetadata: {name: a}\n", '<text>: document 1 (Pod "a"), line 1: apiVersion: missing; expected a string such as "apps/v1"'),
    ("apiVersion: v1\nkind: 3\n", '<text>: document 1, line 2: kind: 3; expected a string such as "Deployment"'),
    ("apiVersion: v1\nkind: Pod\n", "<text>: document 1, line 1: metadata: missing; expected a mapping with a name"),
    (
        "apiVersion: v1\nkind: Pod\nmetadata: {}\n",
        '<text>: document 1 (Pod ""), line 3: metadata.name: missing; expected the object\'s name',
    ),
    (
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: 3\n",
        '<text>: document 1 (Pod "3"), line 4: metadata.name: Invalid value: 3: expected a string',
    ),
    (
        POD + "---\n" + POD,
        '<text>: document 2 (Pod "a"), line 7: metadata.name: Duplicate value: "a": document 1 is the same object; expected it once',
    ),
    ("a: [", "<text>: document 1, line 2, column 1: not YAML: while parsing a flow node did not find expected node content"),
]


@pytest.mark.parametrize(("text", "message"), BAD, ids=range(len(BAD)))
def test_a_problem_is_a_sentence_with_its_place(text: str, message: str) -> None:
    with pytest.raises(ManifestError) as caught:
        parse(text)
    assert str(caught.value) == message


def test_the_same_name_in_another_namespace_or_kind_is_no_duplicate() -> None:
    text = POD + "---\n" + POD.replace("{name: a}", "{name: a, namespace: b}") + "---\n" + POD.replace("Pod", "Secret")
    assert len(parse(text).items) == 3


def test_objects_in_memory_pass_the_same_checks() -> None:
    with pytest.raises(ManifestError, match="metadata.name: missing"):
        from_objects([{"apiVersion": "v1", "kind": "Pod", "metadata": {}}])


def test_files_and_directories(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text(POD)
    (tmp_path / "a.json").write_text('{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "j"}}')
    (tmp_path / "notes.txt").write_text("no manifest")
    assert [path.name for path in sources(tmp_path)] == ["a.json", "b.yaml"]
    assert [item.object["metadata"]["name"] for path in sources(tmp_path) for item in read(path).items] == ["j", "a"]
    (tmp_path / "bad.yaml").write_bytes(b"a: \xff\n")
    (tmp_path / "empty").mkdir()
    for path, message in [
        (tmp_path / "none.yaml", "there is no such file; expected a YAML or JSON manifest"),
        (tmp_path / "empty", "the directory holds no manifest; expected files named *.yaml, *.yml, *.json"),
        (tmp_path / "bad.yaml", "byte 3 is not UTF-8; expected a YAML or JSON text"),
    ]:
        with pytest.raises(ManifestError) as caught:
            for each in sources(path):
                read(each)
        assert str(caught.value) == f"{path}: {message}"


def test_values_are_shown_as_json_shows_them() -> None:
    assert [shown(value) for value in (1, True, None, "x", {}, [], 1.5)] == ["1", "true", "null", '"x"', "a mapping", "a list", "1.5"]
    assert len(shown("x" * 100)) == 60
