"""What no member can start with is one sentence and exit status 2; what another process left is taken over or refused."""

import json
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.server.etcd.members import Member, Zygote, free_port

Make = Callable[..., Member]

FLAGS: dict[str, tuple[dict[str, str], str]] = {
    "a cluster without this member": (
        {"initial_cluster": "a=http://127.0.0.1:1,b=http://127.0.0.1:2"},
        "--initial-cluster does not name this member, 'n0'; it names a, b",
    ),
    "a cluster that has it elsewhere": (
        {"initial_cluster": "n0=http://127.0.0.1:1", "initial_advertise_peer_urls": "http://127.0.0.1:2"},
        "--initial-cluster says that n0 is at http://127.0.0.1:1, --initial-advertise-peer-urls says http://127.0.0.1:2",
    ),
    "two members at one address": (
        {
            "initial_cluster": "n0=http://127.0.0.1:1,n1=http://127.0.0.1:1",
            "initial_advertise_peer_urls": "http://127.0.0.1:1",
        },
        "--initial-cluster has two members at the same address",
    ),
    "a cluster that is none": ({"initial_cluster": "n0"}, "--initial-cluster has 'n0'; expected name=URL"),
    "no URL": ({"listen_client_urls": "127.0.0.1:1"}, "--listen-client-urls: "),
    "a path in a URL": ({"listen_client_urls": "http://127.0.0.1:1/x"}, "--listen-client-urls: "),
    "a unix socket": ({"listen_client_urls": "unix://localhost:1"}, "is a unix socket, which kubesim does not serve"),
    "a state": ({"initial_cluster_state": "old"}, "--initial-cluster-state is 'old'; expected new or existing"),
    "a compaction mode": ({"auto_compaction_mode": "never"}, "--auto-compaction-mode is 'never'; expected periodic or revision"),
    "a retention": ({"auto_compaction_retention": "soon"}, "--auto-compaction-retention is 'soon'; expected a duration like 10m"),
    "a retention of revisions": (
        {"auto_compaction_mode": "revision", "auto_compaction_retention": "1h"},
        "--auto-compaction-retention is '1h'; expected a number of revisions",
    ),
    "no operations": ({"max_txn_ops": "0"}, "--max-txn-ops is 0; expected a number above 0"),
    "a hasty election": (
        {"election_timeout": "400"},
        "--election-timeout is 400 ms and --heartbeat-interval 100 ms; expected an election timeout of at least 5 heartbeats",
    ),
    "a slow election": ({"election_timeout": "50001"}, "--election-timeout is 50001 ms; expected at most 50000"),
    "half a certificate": ({"cert_file": "a.pem"}, "--cert-file and --key-file belong together; one is missing"),
    "no authority": ({"client_cert_auth": "true"}, "--client-cert-auth needs --trusted-ca-file, --cert-file and --key-file"),
    "no certificate": ({"listen_client_urls": "https://127.0.0.1:0"}, "https://127.0.0.1:0 needs --cert-file and --key-file"),
    "a certificate that is none": (
        {"listen_client_urls": "https://127.0.0.1:0", "cert_file": "/dev/null", "key_file": "/dev/null"},
        "cannot load --cert-file, --key-file or --trusted-ca-file",
    ),
}


def refused(member: Member, **flags: str) -> str:
    """Start a member that does not start, and return what it said."""
    member.start(waits=False, **flags)
    assert member.process is not None
    process, member.process = member.process, None
    assert member.zygote.wait(process) == 2
    said = member.log.read_text()
    assert said.startswith("kubesim etcd: ") and said.count("\n") == 1, said
    return said.removeprefix("kubesim etcd: ").rstrip()


@pytest.mark.parametrize("flags", FLAGS)
def test_flags_that_cannot_be_are_refused(flags: str, make_member: Make) -> None:
    given, expected = FLAGS[flags]
    assert expected in refused(make_member(), **given)


def test_an_address_in_use_is_refused(make_member: Make) -> None:
    member = make_member()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", member.port))
        taken.listen()
        assert refused(member) == f"cannot listen on {member.url}: address already in use"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", member.peer_port))
        taken.listen()
        member.log.unlink()
        assert refused(member) == f"cannot listen on {member.peer_url}: address already in use"


def test_a_directory_in_use_is_refused_and_its_owner_lives_on(make_member: Make) -> None:
    owner = make_member().start()
    second = make_member("n1")
    said = refused(second, data_dir=str(owner.directory))
    assert said == f"the data directory {owner.directory} is in use by another process"
    assert owner.post("/v3/kv/put", key="YQ==")["header"]["revision"] == "2"


def damaged(member: Member, name: str, text: str) -> str:
    (member.directory / name).write_text(text)
    member.log.write_text("")
    return refused(member)


def test_a_directory_that_is_not_its_own_is_refused(make_member: Make) -> None:
    member = make_member().start()
    member.kill()
    whose = json.loads((member.directory / "kubesim-etcd.json").read_text())
    said = damaged(member, "kubesim-etcd.json", json.dumps({**whose, "format": 99}))
    assert said == f"{member.directory} was written by a newer version (format 99); this one reads up to format 1"
    for text in ("{", "[]", json.dumps({**whose, "member_id": "x"})):
        assert damaged(member, "kubesim-etcd.json", text) == f"{member.directory / 'kubesim-etcd.json'} is damaged"
    os.unlink(member.directory / "kubesim-etcd.json")
    member.log.write_text("")
    assert refused(member) == f"{member.directory} has a log but no kubesim-etcd.json that says whose it is"


def test_a_damaged_log_is_refused_in_one_sentence(make_member: Make) -> None:
    member = make_member().start()
    member.post("/v3/kv/put", key="YQ==", value="Yg==")
    member.kill()
    path = sorted((member.directory / "wal").glob("*.wal"))[-1]
    data = bytearray(path.read_bytes())
    data[30] ^= 1
    path.write_bytes(data)
    member.log.write_text("")
    assert refused(member).startswith(f"{path} is damaged: the write-ahead log is corrupt at byte ")


def test_a_directory_of_a_real_etcd_is_refused(make_member: Make) -> None:
    member = make_member()
    (member.directory / "member" / "snap").mkdir(parents=True)
    (member.directory / "member" / "snap" / "db").touch()
    assert refused(member) == f"{member.directory} holds the data of a real etcd, which kubesim cannot read; choose another --data-dir"


def test_a_directory_that_cannot_be_is_refused(make_member: Make, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert refused(make_member(), data_dir=str(tmp_path / "file" / "data")).startswith("cannot use the data directory ")


def test_joining_a_cluster_that_does_not_know_it_is_refused(make_member: Make) -> None:
    first, second = make_member(), make_member("n1")
    first.start()
    second.start([first, second], waits=False, initial_cluster_state="existing")
    assert second.process is not None
    process, second.process = second.process, None
    assert second.zygote.wait(process) == 2
    assert f"the cluster does not know a member at {second.peer_url}; add it with member add first" in second.log.read_text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_well_and_nothing_is_lost(number: int, make_member: Make) -> None:
    member = make_member().start()
    member.post("/v3/kv/put", key="YQ==", value="Yg==")
    assert member.kill(number) == 0
    member.start()
    answer = member.post("/v3/kv/range", key="YQ==")
    assert (answer["kvs"][0]["value"], answer["header"]["revision"]) == ("Yg==", "2")


def test_another_name_or_address_is_no_other_member(make_member: Make, zygote: Zygote) -> None:
    """The data says who a member is; flags of a cluster count at its first start only."""
    member = make_member().start()
    member.post("/v3/kv/put", key="YQ==")
    member_id = member.status()["header"]["member_id"]
    member.kill()
    member.port = free_port()
    member.url = f"http://127.0.0.1:{member.port}"
    member.start(name="another", initial_cluster=f"another={member.peer_url}")
    assert member.status()["header"]["member_id"] == member_id
    (info,) = member.post("/v3/cluster/member/list")["members"]
    assert (info["name"], info["clientURLs"]) == ("another", [member.url])
