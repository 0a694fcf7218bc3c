"""Compaction, leases of Events, standing renewals: what the server does by itself, and what it costs when nothing happens."""

from kubesim.apiserver.requests import create, delete, get, list_, patch, update
from kubesim.apiserver.standing import ANNOTATION, renewed
from kubesim.kernel.time import HOUR, MINUTE, SECOND
from tests.apiserver.builders import changed, config_map

LEASES = "leases.coordination.k8s.io"


class TestCompaction:
    def test_each_round_forgets_what_was_old_a_round_ago(self, api) -> None:
        head, compacted = api.revision(), []
        for minute in range(17):
            if minute == 2:
                api(create("configmaps", "default", config_map()))
            if minute == 7:
                api(patch("configmaps", "default", "a", {"data": {"k": "w"}}))
            compacted.append(api.server.store.compact_revision)
            api.run(MINUTE)
        assert compacted == [-1] * 10 + [head + 1] * 5 + [head + 2] * 2

    def test_an_idle_server_does_nothing_at_all(self, api) -> None:
        api.run(HOUR)
        head, dispatched = api.revision(), api.kernel.dispatched_count
        api.run(24 * HOUR)
        assert (api.revision(), api.kernel.dispatched_count) == (head, dispatched)
        api(create("configmaps", "default", config_map()))
        api.run(HOUR)
        assert api.server.store.compact_revision == api.revision()


class TestEvents:
    def event(self, name: str) -> dict:
        regarding = {"kind": "Pod", "namespace": "default", "name": "p"}
        return {"apiVersion": "v1", "kind": "Event", "metadata": {"name": name}, "involvedObject": regarding, "reason": "R"}

    def test_they_are_gone_after_an_hour(self, api) -> None:
        api(create("events", "default", self.event("early")))
        api.run(30 * MINUTE)
        api(create("events", "default", self.event("late")))
        api.run(29 * MINUTE)
        assert len(api(list_("events"))["items"]) == 2
        api.run(3 * MINUTE)
        assert [item["metadata"]["name"] for item in api(list_("events"))["items"]] == ["late"]
        api.run(30 * MINUTE)
        assert api(list_("events"))["items"] == []

    def test_watchers_see_them_go(self, api) -> None:
        api(create("events", "default", self.event("e")))
        watch = api.server.watch("events", on_ready=lambda: None)
        api.run(2 * HOUR)
        assert [(event.type, event.obj["metadata"]["name"]) for event in watch.take()] == [("DELETED", "e")]

    def test_many_share_a_lease(self, api) -> None:
        def lease(name: str) -> int:
            return api.server.store.get(f"/registry/events/default/{name}".encode()).lease

        for index in range(1001):
            api(create("events", "default", self.event(f"e{index}")))
        assert lease("e0") == lease("e999") != lease("e1000")
        api.run(60 * SECOND)
        api(create("events", "default", self.event("same")))
        api.run(1 * SECOND)
        api(create("events", "default", self.event("next")))
        assert lease("e1000") == lease("same") != lease("next")

    def test_an_updated_event_keeps_its_lease(self, api) -> None:
        api(create("events", "default", self.event("e")))
        api.run(59 * MINUTE)
        api(patch("events", "default", "e", {"count": 2}))
        api.run(3 * MINUTE)
        assert api(list_("events"))["items"] == []


class TestStandingRenewals:
    def lease(self, **annotations: str) -> dict:
        metadata = {"name": "node-1", "namespace": "kube-system", "annotations": annotations}
        spec = {"holderIdentity": "node-1", "leaseDurationSeconds": 40, "renewTime": "2026-01-01T00:00:00.000000Z"}
        return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}

    def renew_time(self, api) -> str:
        return api(get(LEASES, "kube-system", "node-1"))["spec"]["renewTime"][11:]

    def test_a_reader_sees_the_renewal_that_was_due_last(self, api) -> None:
        api(create(LEASES, "kube-system", self.lease(**{ANNOTATION: "10s"})))
        head = api.revision()
        api.run(9 * SECOND)
        assert self.renew_time(api) == "00:00:00.000000Z"
        assert api.revision() == head
        api.run(26 * SECOND)
        assert self.renew_time(api) == "00:00:30.000000Z"
        assert self.renew_time(api) == "00:00:30.000000Z"
        assert api.revision() == head + 1
        api.run(5 * SECOND)
        assert api(list_(LEASES, "kube-system"))["items"][0]["spec"]["renewTime"][11:] == "00:00:40.000000Z"
        found = api(get(LEASES, "kube-system", "node-1"))
        assert found["metadata"]["resourceVersion"] == str(api.revision()) == str(head + 2)

    def test_without_the_annotation_nothing_stands(self, api) -> None:
        api(create(LEASES, "kube-system", self.lease()))
        head = api.revision()
        api.run(HOUR)
        assert self.renew_time(api) == "00:00:00.000000Z"
        assert api.revision() == head

    def test_cancelled_it_is_an_ordinary_lease(self, api) -> None:
        api(create(LEASES, "kube-system", self.lease(**{ANNOTATION: "10s"})))
        api.run(25 * SECOND)
        found = api(get(LEASES, "kube-system", "node-1"))
        metadata = {key: value for key, value in found["metadata"].items() if key != "annotations"}
        api(update(LEASES, {**found, "metadata": metadata}))
        api.run(HOUR)
        assert self.renew_time(api) == "00:00:20.000000Z"

    def test_renewed_is_pure(self) -> None:
        lease = self.lease(**{ANNOTATION: "10s"})
        begun_ns = 1_767_225_600 * SECOND
        assert renewed(lease, begun_ns + 10 * SECOND - 1) is lease
        later = renewed(lease, begun_ns + 10 * SECOND)
        assert later == changed(lease, spec={**lease["spec"], "renewTime": "2026-01-01T00:00:10.000000Z"}, metadata={"resourceVersion": ""})
        assert renewed(self.lease(), begun_ns + HOUR)["spec"]["renewTime"].endswith("00:00:00.000000Z")


def test_a_deleted_event_is_gone(api) -> None:
    regarding = {"kind": "Pod", "namespace": "default", "name": "p"}
    obj = {"apiVersion": "v1", "kind": "Event", "metadata": {"name": "e"}, "involvedObject": regarding}
    api(create("events", "default", obj))
    assert api(delete("events", "default", "e"))["status"] == "Success"
    api.run(2 * HOUR)
