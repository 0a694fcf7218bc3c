"""Three members as processes: a killed leader is replaced and nothing is lost; members are added, promoted, removed and come back."""

import time
import urllib.error
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.server.etcd.members import Member, Zygote

SECONDS_MAX = 60.0


@pytest.fixture
def cluster(zygote: Zygote, tmp_path: Path) -> Iterator[list[Member]]:
    members = [Member(zygote, tmp_path, f"n{index}") for index in range(3)]
    for member in members:
        member.start(members, waits=False)
    for member in members:
        member.wait()
    yield members
    for member in members:
        if member.process is not None:
            member.kill()


def patiently(work: Callable[[], Any]) -> Any:
    """Do it again until it is not refused: the members may be about to elect a leader."""
    deadline = time.monotonic() + SECONDS_MAX
    while True:
        try:
            return work()
        except (urllib.error.URLError, ConnectionError, TimeoutError) as error:
            assert time.monotonic() < deadline, f"{error}"
            time.sleep(0.05)


def leader_of(members: list[Member]) -> Member:
    """The member that leads, by its own word."""

    def ask() -> Member:
        for member in members:
            if member.process is not None:
                status = member.status()
                if status.get("leader") == status["header"]["member_id"]:
                    return member
        raise TimeoutError("nobody leads")

    return patiently(ask)


def put(member: Member, key: str, value: str) -> int:
    """Put, and return the revision."""
    found = patiently(lambda: member.post("/v3/kv/put", key=encoded(key), value=encoded(value)))
    return int(found["header"]["revision"])


def get(member: Member, key: str, **options: Any) -> Any:
    """The value of a key."""
    answer = patiently(lambda: member.post("/v3/kv/range", key=encoded(key), **options))
    return answer["kvs"][0]["value"] if "kvs" in answer else None


def encoded(text: str) -> str:
    return b64encode(text.encode()).decode()


def test_a_killed_leader_is_replaced_and_comes_back(cluster: list[Member]) -> None:
    for turn in range(2):
        leader = leader_of(cluster)
        put(leader, "before", str(turn))
        leader.kill()
        others = [member for member in cluster if member is not leader]
        for member in others:  # every member serves, whoever leads
            put(member, f"after/{member.name}", str(turn))
        assert get(others[0], "before") == encoded(str(turn))
        leader.start(cluster)
        assert patiently(lambda: get(leader, f"after/{others[1].name}")) == encoded(str(turn))  # noqa: B023
    hashes = {str(patiently(lambda: member.post("/v3/maintenance/hashkv", revision=0))["hash"]) for member in cluster}  # noqa: B023
    assert len(hashes) == 1


def test_without_a_majority_nothing_is_written_and_local_reads_go_on(cluster: list[Member]) -> None:
    put(cluster[0], "key", "1")
    for member in cluster:
        assert get(member, "key") == encoded("1")
    cluster[1].kill()
    cluster[2].kill()
    assert get(cluster[0], "key", serializable=True) == encoded("1")
    with pytest.raises(urllib.error.HTTPError) as refused:
        cluster[0].post("/v3/kv/put", key=encoded("key"), value=encoded("2"))
    assert refused.value.code in (503, 504)
    refused.value.close()
    cluster[1].start(cluster)
    put(cluster[0], "key", "3")
    assert get(cluster[1], "key") == encoded("3")


def test_members_come_and_go(cluster: list[Member], zygote: Zygote, tmp_path: Path) -> None:
    put(cluster[0], "key", "1")
    joining = Member(zygote, tmp_path, "n3")
    # Right after its start a cluster refuses to grow: its members must have been connected for a while.
    added = patiently(lambda: cluster[0].post("/v3/cluster/member/add", peerURLs=[joining.peer_url], isLearner=True))
    cluster.append(joining)
    joining.start(cluster, initial_cluster_state="existing")
    assert get(joining, "key", serializable=True) == encoded("1")
    with pytest.raises(urllib.error.HTTPError) as refused:
        joining.post("/v3/kv/range", key=encoded("key"))
    assert refused.value.code == 400, "a learner serves serializable reads only"
    refused.value.close()
    patiently(lambda: cluster[1].post("/v3/cluster/member/promote", ID=added["member"]["ID"]))
    assert get(joining, "key") == encoded("1")
    leaving = cluster[2]
    member_id = leaving.status()["header"]["member_id"]
    answer = patiently(lambda: cluster[0].post("/v3/cluster/member/remove", ID=member_id))
    assert len(answer["members"]) == 3
    assert leaving.process is not None
    assert zygote.wait(leaving.process) == 0, "who is removed ends by itself"
    leaving.process = None
    leader = leader_of([cluster[0], cluster[1], joining])
    leader.kill()
    rest = [member for member in (cluster[0], cluster[1], joining) if member is not leader]
    put(rest[0], "key", "2")
    assert get(rest[1], "key") == encoded("2")
