"""Tables and PartialObjectMetadata over HTTP: made of upstream's internal types, with what its printers print."""

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
PARTIAL_LIST = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
# Upstream makes Tables and PartialObjectMetadata of the internal type, which has fields where v1 has some annotations.
PARTIAL = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
GENERATION = "deprecated.daemonset.template.generation"
DAEMON_SETS = "/apis/apps/v1/namespaces/default/daemonsets"
TEMPLATE = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}


def test_annotations_that_stand_for_fields_are_in_the_object_and_not_in_its_metadata_alone(door) -> None:
    body = {"metadata": {"name": "d", "annotations": {"x": "y"}}, "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": TEMPLATE}}
    assert door.ask("POST", DAEMON_SETS, body).json["metadata"]["annotations"] == {"x": "y", GENERATION: "1"}
    row = door.ask("GET", f"{DAEMON_SETS}/d", headers={"accept": TABLE}).json["rows"][0]
    assert row["object"]["metadata"]["annotations"] == {"x": "y"}
    whole = door.ask("GET", f"{DAEMON_SETS}/d?includeObject=Object", headers={"accept": TABLE}).json["rows"][0]["object"]
    assert GENERATION in whole["metadata"]["annotations"]
    assert door.ask("GET", f"{DAEMON_SETS}/d", headers={"accept": PARTIAL}).json["metadata"]["annotations"] == {"x": "y"}
    assert door.ask("GET", DAEMON_SETS, headers={"accept": PARTIAL_LIST}).json["items"][0]["metadata"]["annotations"] == {"x": "y"}


def test_an_address_has_an_age_without_a_head(door) -> None:
    table = door.ask("GET", "/apis/networking.k8s.io/v1/ipaddresses/10.96.0.1", headers={"accept": TABLE}).json
    assert [column["name"] for column in table["columnDefinitions"]] == ["Name", "ParentRef"]
    assert table["rows"][0]["cells"] == ["10.96.0.1", "services/default/kubernetes", "0s"]
