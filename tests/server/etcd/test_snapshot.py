"""``snapshot restore`` and ``snapshot status``: what was saved is what the new cluster begins with, what is damaged is one sentence."""

import json
import urllib.request
from base64 import b64decode, b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from kubesim.cli.etcd import etcd
from kubesim.etcd.snapshot_file import blob_of
from tests.server.etcd.members import Member

Make = Callable[..., Member]


def text(value: str) -> str:
    return b64encode(value.encode()).decode()


def save(member: Member) -> bytes:
    """What ``etcdctl snapshot save`` writes: all blobs, the hash being the last."""
    request = urllib.request.Request(member.url + "/v3/maintenance/snapshot", b"{}")
    with urllib.request.urlopen(request, timeout=15) as answer:
        return b"".join(b64decode(json.loads(line)["result"].get("blob", "")) for line in answer.read().splitlines())


def command(*arguments: object) -> Any:
    return CliRunner().invoke(etcd, ["snapshot", *map(str, arguments)])


def restore(file: Path, member: Member, cluster: list[Member]) -> Any:
    names = ",".join(f"{each.name}={each.peer_url}" for each in cluster)
    flags = ("--initial-advertise-peer-urls", member.peer_url, "--initial-cluster", names)
    return command("restore", file, "--name", member.name, "--data-dir", member.directory, *flags)


@pytest.fixture
def saved(make_member: Make, tmp_path: Path) -> Path:
    """A file of a member with old revisions, a compaction, a lease and a deleted key."""
    member = make_member("old").start()
    member.post("/v3/lease/grant", ID="77", TTL="600")
    for number in range(5):
        member.post("/v3/kv/put", key=text("a"), value=text(str(number)))
    member.post("/v3/kv/put", key=text("leased"), value=text("x"), lease="77")
    member.post("/v3/kv/put", key=text("gone"))
    member.post("/v3/kv/deleterange", key=text("gone"))
    member.post("/v3/kv/compaction", revision="4")
    path = tmp_path / "saved.db"
    path.write_bytes(save(member))
    member.kill()
    return path


def content(member: Member) -> list[Any]:
    everything = {"key": text("\0"), "range_end": text("\0")}
    answers = [member.post("/v3/kv/range", **everything, revision=str(revision)) for revision in (4, 6, 9)]
    lease = member.post("/v3/lease/timetolive", ID="77", keys=True)
    return [*(answer["kvs"] for answer in answers), lease["keys"], lease["grantedTTL"]]


def test_one_member_and_three_go_on_from_a_file(saved: Path, make_member: Make) -> None:
    alone = make_member("alone")
    result = restore(saved, alone, [alone])
    assert result.exit_code == 0, result.output
    alone.start()
    kvs = alone.post("/v3/kv/range", key=text("a"), revision="4")["kvs"]
    assert [(kv["value"], kv["version"], kv["mod_revision"]) for kv in kvs] == [(text("2"), "3", "4")]
    assert int(alone.status()["header"]["revision"]) == 9
    before = content(alone)
    assert before[3:] == [[text("leased")], "600"]
    alone.post("/v3/kv/put", key=text("a"), value=text("new"))
    alone.kill()
    alone.start()
    assert alone.post("/v3/kv/range", key=text("a"))["kvs"][0]["mod_revision"] == "10", "it goes on, over a restart"

    cluster = [make_member(f"n{number}") for number in range(3)]
    for member in cluster:
        assert restore(saved, member, cluster).exit_code == 0
    for member in cluster:
        member.start(cluster, waits=False)
    for member in cluster:
        member.wait()
    assert [content(member) for member in cluster] == [before] * 3
    put = cluster[1].post("/v3/kv/put", key=text("a"))
    assert int(put["header"]["revision"]) == 10
    assert len(cluster[0].post("/v3/cluster/member/list")["members"]) == 3


def test_status_tells_what_is_in_a_file(saved: Path) -> None:
    result = command("status", saved, "-w", "json")
    found = json.loads(result.stdout)
    assert (found["revision"], found["totalSize"]) == (9, saved.stat().st_size)
    assert found["totalKey"] == 6  # a at 4, 5 and 6, leased, gone and its delete
    assert command("status", saved).stdout == f"{found['hash']:x}, 9, 6, {found['totalSize']:,} B\n"


def damaged(data: bytes) -> dict[str, tuple[bytes, str]]:
    flipped = data[:100] + bytes((data[100] ^ 1,)) + data[101:]
    bolt = bytes(16) + b"\xed\xda\x0c\xed" + bytes(1004)
    return {
        "a byte changed": (flipped, "is damaged: it does not fit its SHA-256"),
        "the hash changed": (data[:-1] + bytes((data[-1] ^ 1,)), "is damaged: it does not fit its SHA-256"),
        "cut off": (data[:300], "is cut off, or a copy without its hash (--skip-hash-check takes such a copy)"),
        "without its hash": (data[:-32], "is cut off, or a copy without its hash (--skip-hash-check takes such a copy)"),
        "empty": (b"", "is no snapshot of etcd"),
        "of a newer version": (data[:8] + b"\x02" + data[9:], "was written by a newer version"),
        "of a real etcd": (bolt, "is a snapshot of a real etcd, which kubesim cannot read"),
    }


def test_a_damaged_file_is_refused_and_leaves_nothing(saved: Path, tmp_path: Path) -> None:
    for name, (data, reason) in damaged(saved.read_bytes()).items():
        file = tmp_path / "damaged.db"
        file.write_bytes(data)
        result = command("restore", file, "--data-dir", tmp_path / "new")
        assert (result.exit_code, result.stdout) == (2, ""), name
        assert result.stderr == f"kubesim etcd snapshot restore {file}: the file {reason}\n", name
        assert not (tmp_path / "new").exists(), name
        assert command("status", file).exit_code == 2, name


def test_what_is_no_value_inside_is_refused_without_a_hash_too(tmp_path: Path) -> None:
    file = tmp_path / "copy.db"
    for blob, reason in ((blob_of(b"\x05\x03abc"), "holds something else than a snapshot"), (blob_of(b"\xff"), "is damaged")):
        file.write_bytes(blob)
        result = command("restore", file, "--data-dir", tmp_path / "new", "--skip-hash-check")
        assert result.exit_code == 2
        assert result.stderr.startswith(f"kubesim etcd snapshot restore {file}: the file {reason}")


def test_a_copy_without_its_hash_is_taken_when_asked_for(saved: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    copy.write_bytes(saved.read_bytes()[:-32])
    assert command("restore", copy, "--data-dir", tmp_path / "new", "--skip-hash-check").exit_code == 0
    again = command("restore", copy, "--data-dir", tmp_path / "new", "--skip-hash-check")
    assert again.exit_code == 2
    assert again.stderr.endswith("is not empty; a snapshot is restored into a new directory\n")


def test_flags_and_files_that_cannot_be(saved: Path, tmp_path: Path) -> None:
    result = command("restore", saved, "--data-dir", tmp_path / "new", "--initial-cluster", "other=http://127.0.0.1:1")
    assert (result.exit_code, result.stderr) == (
        2,
        f"kubesim etcd snapshot restore {saved}: --initial-cluster does not name this member, 'default'; it names other\n",
    )
    missing = tmp_path / "missing.db"
    result = command("restore", missing)
    assert (result.exit_code, result.stderr) == (
        2,
        f"kubesim etcd snapshot restore {missing}: the file cannot be read: No such file or directory\n",
    )
