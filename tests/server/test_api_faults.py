"""Faults at the API, as a client under test meets them: each kind, from Python, over HTTP and from a file; seeded and counted."""

import http.client
from pathlib import Path
from typing import Any

import pytest

from kubesim.api.errors import ApiError
from kubesim.server.apiserver.faults import KINDS, Fault, Faults, read_faults
from kubesim.testing import builders

MAPS = "/api/v1/namespaces/default/configmaps"


def made(kubesim: Any, *names: str) -> Any:
    """Create ConfigMaps; return the client."""
    for name in names:
        kubesim.client.post(MAPS, builders.config_map(name, n="0"))
    return kubesim.client


def refused(function: Any, *arguments: Any) -> ApiError:
    with pytest.raises(ApiError) as error:
        function(*arguments)
    return error.value


@pytest.mark.parametrize(
    ("kind", "code", "reason"),
    [
        ("conflict", 409, "Conflict"),
        ("too-many-requests", 429, "TooManyRequests"),
        ("internal-error", 500, "InternalError"),
        ("unavailable", 503, "ServiceUnavailable"),
    ],
)
def test_a_write_is_refused_and_not_done(kubesim: Any, kind: str, code: int, reason: str) -> None:
    client = made(kubesim, "a")
    fault = kubesim.faults.add(kind, verb="patch", resource="configmaps", times=2)
    for _ in range(2):
        error = refused(client.patch, f"{MAPS}/a", {"data": {"n": "1"}})
        assert (error.code, error.reason) == (code, reason)
    assert client.get(f"{MAPS}/a")["data"] == {"n": "0"}
    assert client.patch(f"{MAPS}/a", {"data": {"n": "1"}})["data"] == {"n": "1"}, "the fault was for two times"
    assert (fault.seen, fault.hits) == (3, 2)
    assert [row[1:] for row in kubesim.faults.log] == [(kind, "patch", "configmaps", "default", "a")] * 2


def test_a_refusal_says_when_to_come_back(kubesim: Any) -> None:
    kubesim.faults.add("too-many-requests", retry_after_seconds=7)
    assert refused(kubesim.client.get, MAPS).details == {"retryAfterSeconds": 7}
    connection = kubesim.client._connect()
    connection.request("GET", MAPS)
    answer = connection.getresponse()
    assert (answer.status, answer.headers["Retry-After"]) == (429, "7")
    answer.read()
    connection.close()
    kubesim.faults.clear()
    assert kubesim.client.get(MAPS)["kind"] == "ConfigMapList"


def test_a_connection_breaks_before_or_after_the_work(kubesim: Any) -> None:
    for kind, is_done in (("lost-request", False), ("lost-answer", True)):
        kubesim.faults.add(kind, verb="create", times=1)
        with pytest.raises((OSError, http.client.HTTPException)):
            kubesim.client.post(MAPS, builders.config_map(kind))
        assert (kind in {obj["metadata"]["name"] for obj in kubesim.cluster.list("ConfigMap", "default")}) is is_done


def test_a_slow_answer_takes_the_clusters_time(kubesim: Any) -> None:
    import threading

    kubesim.faults.add("slow", verb="create", delay="30s", times=1)
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(kubesim.client.post(MAPS, builders.config_map("late"))))
    thread.start()
    while not kubesim.faults.log:
        thread.join(0.005)
    kubesim.cluster.advance("29s")
    assert "late" not in {obj["metadata"]["name"] for obj in kubesim.cluster.list("ConfigMap", "default")}
    assert not answers
    kubesim.cluster.advance("1s")
    thread.join(30)
    assert answers[0]["metadata"]["creationTimestamp"] == "2026-01-01T00:01:30Z"


def test_reads_are_of_the_past(kubesim: Any) -> None:
    client = made(kubesim, "a", "b")
    frozen = kubesim.faults.add("stale-read", resource="configmaps")
    client.patch(f"{MAPS}/a", {"data": {"n": "1"}})
    client.delete(f"{MAPS}/b")
    made(kubesim, "c")
    assert client.get(f"{MAPS}/a")["data"] == {"n": "0"}
    assert client.get(f"{MAPS}/b")["metadata"]["name"] == "b"
    assert refused(client.get, f"{MAPS}/c").code == 404
    assert [item["metadata"]["name"] for item in client.get(MAPS)["items"] if len(item["metadata"]["name"]) == 1] == ["a", "b"]
    stale = client.get(f"{MAPS}/a")
    assert refused(client.put, f"{MAPS}/a", stale).code == 409, "what was read in the past cannot be written back"
    assert frozen.hits == 5
    kubesim.faults.clear()
    kubesim.faults.add("stale-read", lag=1)
    assert refused(client.get, f"{MAPS}/c").code == 404
    kubesim.faults.clear()
    assert client.get(f"{MAPS}/a")["data"] == {"n": "1"}


def events_of(kubesim: Any, then: Any, count: int) -> list[tuple[str, str]]:
    """What a watch of ConfigMaps is told while ``then`` happens."""
    client = kubesim.client
    version = client.get(MAPS)["metadata"]["resourceVersion"]
    watch = client.watch(f"{MAPS}?resourceVersion={version}")
    then()
    seen = []
    for event in watch:
        obj = event["object"]
        seen.append((event["type"], obj["metadata"]["name"] if event["type"] != "ERROR" else obj["code"]))
        if len(seen) == count:
            break
    watch.close()
    return seen


def test_an_event_is_dropped(kubesim: Any) -> None:
    kubesim.faults.add("drop-event", name="b")
    assert events_of(kubesim, lambda: made(kubesim, "a", "b", "c"), 2) == [("ADDED", "a"), ("ADDED", "c")]


def test_events_are_late_and_in_order(kubesim: Any) -> None:
    kubesim.faults.add("delay-event", name="b", delay="1m")
    watched = kubesim.client.watch(f"{MAPS}?resourceVersion={kubesim.client.get(MAPS)['metadata']['resourceVersion']}")
    made(kubesim, "a", "b", "c")
    assert next(watched)["object"]["metadata"]["name"] == "a"
    kubesim.client.patch(f"{MAPS}/b", {"data": {"n": "1"}})
    kubesim.cluster.advance("59s")
    kubesim.faults.clear()
    kubesim.cluster.advance("1s")
    late = [next(watched) for _ in range(3)]
    watched.close()
    assert [(event["type"], event["object"]["metadata"]["name"]) for event in late] == [("ADDED", "b"), ("ADDED", "c"), ("MODIFIED", "b")]


def test_a_watch_ends_without_a_word_or_with_410(kubesim: Any) -> None:
    cut = kubesim.faults.add("cut-watch", name="b")
    assert events_of(kubesim, lambda: made(kubesim, "a", "b", "c"), 9) == [("ADDED", "a")]
    kubesim.faults.clear()
    kubesim.faults.add("gone", name="e")
    assert events_of(kubesim, lambda: made(kubesim, "d", "e"), 9) == [("ADDED", "d"), ("ERROR", 410)]
    kubesim.faults.clear()
    kubesim.faults.add("gone", times=1)
    assert [event["object"]["code"] for event in kubesim.client.watch(f"{MAPS}?resourceVersion=100")] == [410]
    assert cut.hits == 1


def test_faults_choose_whom_they_befall(kubesim: Any) -> None:
    from kubesim.server.http_client import Client

    kubesim.faults.add("internal-error", user="operator")
    operator = Client.of(kubesim.kubeconfig_for("operator"))
    assert refused(operator.get, MAPS).code == 500
    operator.close()
    assert kubesim.client.get(MAPS)["items"]
    kubesim.faults.clear()
    kubesim.faults.add("internal-error", agent="kubesim-", namespace="kube-system")
    assert kubesim.client.get(MAPS)["items"]
    assert refused(kubesim.client.get, MAPS.replace("default", "kube-system")).code == 500


def test_faults_over_http(kubesim: Any) -> None:
    client = kubesim.client
    conflict, slow = {"kind": "conflict", "resource": "configmaps", "times": 1}, {"random": {"rate": 0.5, "kinds": ["slow"]}}
    added = client.post("/kubesim/faults", [conflict, slow])
    assert [fault["kind"] for fault in added["faults"]] == ["conflict", "slow"]
    client.delete("/kubesim/faults/2")
    made(kubesim, "a")
    assert refused(client.patch, f"{MAPS}/a", {}).code == 409
    found = client.get("/kubesim/faults")
    assert [(fault["id"], fault["hits"]) for fault in found["faults"]] == [(1, 1)]
    what = {"kind": "conflict", "verb": "patch", "resource": "configmaps", "namespace": "default", "name": "a"}
    assert found["log"] == [{"time": "2026-01-01T00:01:00.000000Z", **what}]
    assert client.delete("/kubesim/faults") == {"removed": 1}
    assert refused(client.delete, "/kubesim/faults/7").code == 404
    assert refused(client.post, "/kubesim/faults", {"kind": "fire"}).message.startswith("kind is 'fire'; expected one of conflict, ")
    assert client.get("/kubesim/faults")["faults"] == []


def test_only_the_administrator_moves_the_clock_and_adds_faults(kubesim: Any) -> None:
    from kubesim.server.http_client import Client

    client = Client.of(kubesim.kubeconfig_for("somebody", []))
    assert refused(client.post, "/kubesim/advance", {"duration": "1h"}).code == 403
    assert refused(client.get, "/kubesim/faults").code == 403
    client.close()


def test_faults_from_a_file(kubesim_factory: Any, tmp_path: Path) -> None:
    from kubesim.server.apiserver.flags import BadFlags

    path = tmp_path / "faults.yaml"
    path.write_text("faults:\n- {kind: too-many-requests, verb: create, resource: configmaps, after: 1, times: 1}\n")
    served = kubesim_factory(nodes=0, components="apiserver", api_faults=str(path))
    codes = []
    for name in "abc":
        try:
            served.client.post(MAPS, builders.config_map(name))
            codes.append(201)
        except ApiError as error:
            codes.append(error.code)
    assert codes == [201, 429, 201]
    for text, message in (
        ("- {kind: slow, delay: soon}", "delay is 'soon'; expected a duration"),
        ("- {verb: get}", "a fault has no kind"),
        ("- {kind: conflict, verbs: [get]}", "verbs has 'get'; expected some of update, patch, delete for conflict"),
        ("- {kind: slow, probability: 2}", "probability is 2; expected a number above 0 and at most 1"),
        ("- {kind: slow, often: true}", "a fault has 'often'; expected some of kind"),
        ("- slow", "a fault is 'slow'; expected a mapping"),
        ("{random: 3}", "random is 3; expected a mapping"),
        ("a: [", "while parsing"),
    ):
        path.write_text(text)
        with pytest.raises(BadFlags, match="--api-faults") as error:
            kubesim_factory(api_faults=str(path))
        assert message in str(error.value)


def test_random_faults_are_equal_for_equal_seeds(kubesim_factory: Any) -> None:
    logs = []
    for seed in (5, 5, 6):
        served = kubesim_factory(nodes=0, components="apiserver", seed=seed)
        served.faults.random(0.4, kinds=["conflict", "internal-error", "lost-answer", "stale-read", "too-many-requests"])
        for number in range(30):
            for ask in (
                lambda client, n=number: client.post(MAPS, builders.config_map(f"c{n}")),
                lambda client, n=number: client.patch(f"{MAPS}/c{n}", {"data": {"x": "y"}}),
                lambda client: client.get(MAPS),
            ):
                try:
                    ask(served.client)
                except (ApiError, OSError, http.client.HTTPException):
                    continue
        logs.append([row[1:] for row in served.faults.log])
    assert logs[0] == logs[1] != logs[2]
    assert {row[0] for row in logs[0]} == {"conflict", "internal-error", "lost-answer", "stale-read", "too-many-requests"}


def test_every_kind_has_a_row_in_the_docs() -> None:
    text = (Path(__file__).parents[2] / "docs" / "testing.md").read_text()
    assert [kind for kind in KINDS if f"`{kind}`" not in text] == []


class Store:
    """Revisions for ``Faults``."""

    revision, compact_revision = 100, 90


def test_the_past_ends_at_the_last_compaction() -> None:
    from kubesim.kernel.loop import Kernel

    faults = Faults(Kernel().rng, Store(), lambda: 0)
    near, far, frozen = faults.add([Fault("stale-read", lag=5), Fault("stale-read", lag=50), Fault("stale-read")])
    assert [faults.past(fault) for fault in (near, far, frozen)] == [95, 90, 100]
    with pytest.raises(ValueError, match="faults are 1003; expected at most 1000"):
        faults.add(read_faults([{"kind": "slow"}] * 1000))
