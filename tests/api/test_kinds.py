"""The registry of kinds, and what every kind promises: idempotent defaults, no writing into arguments."""

import pytest

from kubesim.api.kinds import KINDS
from kubesim.api.kinds.contract import Kind
from kubesim.api.kinds.registry import KindRegistry, resource_table


def test_every_stored_kind_of_the_server_is_there() -> None:
    stored = {
        (row["group"], row["plural"])
        for row in resource_table()["resources"]
        if "get" in row["verbs"] and "create" in row["verbs"] and row["group"] != "events.k8s.io"
    }
    assert stored == {(kind.group, kind.plural) for kind in KINDS}


@pytest.mark.parametrize("row", resource_table()["resources"], ids=lambda row: f"{row['plural']}.{row['group']}/{row['version']}")
def test_a_kind_file_agrees_with_the_discovery_documents(row: dict) -> None:
    kind = KINDS.find_gvk(f"{row['group']}/{row['version']}".lstrip("/"), row["kind"])
    if kind is None:
        assert "get" not in row["verbs"] or (row["group"], row["version"]) in {("events.k8s.io", "v1"), ("autoscaling", "v1"), ("", "v1")}
        return
    expected = (row["plural"], row["singular"], row["namespaced"], tuple(row.get("shortNames", ())), tuple(row.get("categories", ())))
    assert expected == (kind.plural, kind.singular, kind.namespaced, kind.short_names, kind.categories)
    assert tuple(sorted(row.get("subresources", ()))) == tuple(sorted(kind.subresources))


def test_look_ups() -> None:
    assert KINDS.by_resource("deployments.apps").kind == "Deployment"
    assert KINDS.by_gvk("v1", "Pod").resource == "pods"
    assert KINDS.find("svc") is KINDS.find("Services") is KINDS.by_resource("services")
    assert KINDS.get("nothing") is KINDS.find("nothing") is KINDS.find_gvk("v1", "Nothing") is None
    assert "pods" in KINDS and len(KINDS) == len(KINDS.all())


def test_two_kinds_of_one_resource_are_refused() -> None:
    kind = Kind(group="example.com", version="v1", kind="Thing", plural="things")
    registry = KindRegistry([kind])
    with pytest.raises(ValueError, match=r"kind Thing .* there is one already"):
        registry.add(Kind(group="example.com", version="v2", kind="Thing", plural="things"))
    registry.remove("things.example.com")
    assert len(registry) == 0
