"""Debian's etcdctl says the same of a member as of a real etcd beside it: a scripted session, every output compared.

Debian's etcd is of version 3.4, kubesim speaks 3.6: where these differ, ``DIFFERENT`` says so.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.server.etcd.members import Member, Zygote, free_port

pytestmark = pytest.mark.skipif(
    not (shutil.which("etcd") and shutil.which("etcdctl")), reason="etcd-server and etcd-client of Debian are not installed"
)

TIMEOUT_SECONDS = 40


@dataclass
class Side:
    """One of the two servers, and what its session has learned: {name} in a command stands for a value."""

    endpoint: str
    folder: Path
    names: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)

    def command(self, words: tuple[str, ...]) -> list[str]:
        """Return the command line."""
        given = [] if any(word.startswith("--endpoints") for word in words) else [f"--endpoints={self.endpoint}"]
        return ["etcdctl", *given, *(self.fill(word) for word in words)]

    def fill(self, text: str) -> str:
        """Put values in the place of names."""
        for name, value in self.names.items():
            text = text.replace("{" + name + "}", value)
        return text

    def popen(self, words: tuple[str, ...]) -> "subprocess.Popen[str]":
        """Start etcdctl."""
        environment = {**os.environ, "ETCDCTL_API": "3", **self.environment}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(self.command(words), cwd=self.folder, env=environment, text=True, **pipes)  # type: ignore[call-overload,no-any-return]

    def run(self, words: tuple[str, ...], text: str) -> tuple[int, str, str]:
        """Run etcdctl to its end."""
        with self.popen(words) as process:
            out, error = process.communicate(self.fill(text), TIMEOUT_SECONDS)
        return process.returncode, self.plain(out), self.plain(error)

    def plain(self, text: str) -> str:
        """Put names in the place of what differs from server to server: numbers of members, leases, sizes, times, addresses."""
        for name, value in self.names.items():
            if re.fullmatch("[0-9a-f]{12,16}", value):
                text = text.replace(str(int(value, 16)), "{" + name + "}")
            if not value.isdigit() or len(value) > 12:
                text = text.replace(value, "{" + name + "}")
        for pattern, replacement in PLAIN:
            text = re.sub(pattern, replacement, text)
        text = re.sub(" {2,}", " ", re.sub("-{3,}", "---", text))  # etcdctl fills up, and a number may have fewer than sixteen digits
        # The keys of a lease come in no order.
        text = re.sub(r'(?<="keys":\[)[^]]*', lambda found: ",".join(sorted(found[0].split(","))), text)
        text = re.sub(r"(?<=attached keys\(\[)[^]]*", lambda found: " ".join(sorted(found[0].split())), text)
        # In the order of the members' numbers, which are made of ports here.
        return re.sub('(?<=INITIAL_CLUSTER=")[^"]*', lambda found: ",".join(sorted(found[0].split(","))), text)


PLAIN = (
    (r'"(cluster_id|member_id|raft_term|raftTerm|leader|raftIndex|raftAppliedIndex|dbSize|dbSizeInUse)":(\d+|\{\w+\})', r'"\1":…'),
    (r'"version":"\d[\d.]*"', '"version":"…"'),
    (r"remaining\(\d+s\)", "remaining(…)"),
    (r'"ttl":\d+', '"ttl":…'),
    (r"(Member|from|to) +", r"\1 "),
    (r"took = [\w.µ]+", "took = …"),
    (r'"took":"[\w.µ]+"', '"took":"…"'),
    (r"\"(level|caller)\":\"[^\"]*\"", r'"\1":…'),
    (r'"ts":("[^"]*"|[\d.]+)', '"ts":…'),
    (r'"size":"[^"]*","took":[\d.e-]+', '"size":…,"took":…'),
    (r'"(ClusterID|MemberID|RaftTerm)" : \d+', r'"\1" : …'),
    (r"\b[0-9a-f]{12,16}\b", "…"),
    (r"member ID already exist\b", "Peer URLs already exists"),  # added twice in one second: a number is made of address and second
    (r"clientv3/retry_interceptor.go:\d+", "clientv3/retry_interceptor.go"),
    (r"target\":\"[^\"]*\"", 'target":"…"'),
    (r"127\.0\.0\.1:\d{5}", "…"),
)


class Real:
    """Debian's etcd, as one member or several."""

    def __init__(self, folder: Path, count: int = 1) -> None:
        self.ports = [(free_port(), free_port()) for _ in range(count)]
        self.peers = [f"http://127.0.0.1:{peer}" for _, peer in self.ports]
        self.clients = [f"http://127.0.0.1:{client}" for client, _ in self.ports]
        cluster = ",".join(f"n{index}={url}" for index, url in enumerate(self.peers))
        environment = {key: value for key, value in os.environ.items() if not key.startswith("ETCD")}
        self.processes = []
        for index, (client, peer) in enumerate(zip(self.clients, self.peers, strict=True)):
            command = ["etcd", "--name", f"n{index}", "--data-dir", str(folder / f"n{index}"), "--initial-cluster", cluster]
            command += ["--listen-client-urls", client, "--advertise-client-urls", client, "--unsafe-no-fsync"]
            command += ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--log-level", "error"]
            log = (folder / f"n{index}.log").open("wb")
            self.processes.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log))
            log.close()

    def wait(self) -> None:
        """Wait until all serve."""
        side = Side(",".join(self.clients), Path.cwd())
        for _ in range(60):
            if side.run(("endpoint", "health"), "")[0] == 0:
                return
        raise AssertionError("Debian's etcd does not serve")

    def close(self) -> None:
        """End all of them."""
        for process in self.processes:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Real]:
    real = Real(tmp_path_factory.mktemp("real"))
    real.wait()
    yield real
    real.close()


# A session: (words, text for the standard input). What a command prints may name a value for later ones: ">lease:pattern".
Step = tuple[str, ...]
SESSIONS: dict[str, list[str | tuple[str, str]]] = {
    "put": [
        "put p/a 1",
        "put p/a 2 --prev-kv",
        ("put p/stdin", "from the standard input"),
        "put p/b value -w json",
        "put p/b other --prev-kv -w json",
        "put p/b --ignore-lease again",
        "put p/b --ignore-value",
        "put p/none --ignore-value",
        "put p/none --ignore-lease x",
        "put p/c x --lease=123abc",
        "put -- p/d -dash",
        "put p/e 5 -w fields",
        "put p/f 6 -w simple",
        "put p/g 7 -w table",
        "put  x --lease",
        "put",
        "put p/a b c d",
    ],
    "get": [
        "put g/a 1",
        "put g/b 3",
        "put g/c 2",
        "put g/a 4",
        "get g/a",
        "get g/none",
        "get g/a -w json",
        "get g/a -w fields",
        "get g/a --hex",
        "get g/a --print-value-only",
        "get g/ --prefix",
        "get g/ --prefix --keys-only",
        "get g/ --prefix --limit=2",
        "get g/ --prefix --limit=2 -w json",
        "get g/ --prefix --count-only -w json",
        "get g/ --prefix --count-only -w fields",
        "get g/a g/c",
        "get g/b --from-key --limit=1",
        "get g/ --prefix --order=DESCEND",
        "get g/ --prefix --order=ASCEND --sort-by=VALUE",
        "get g/ --prefix --order=DESCEND --sort-by=MODIFY",
        "get g/ --prefix --order=ASCEND --sort-by=CREATE",
        "get g/ --prefix --order=DESCEND --sort-by=VERSION",
        "get g/a --consistency=s",
        "get g/a --consistency=l",
        "get g/a --consistency=x",
        "get g/a --rev=100000",
        "get g/a --rev={revision}",
        "get g/ --prefix --order=SIDEWAYS",
        "get g/ --prefix --from-key",
        "get",
    ],
    "del": [
        "put d/a 1",
        "put d/b 2",
        "put d/c 3",
        "put d/d 4",
        "del d/a",
        "del d/a",
        "del d/b --prev-kv",
        "del d/c d/d -w json",
        "del d/ --prefix --prev-kv",
        "put d/z 1",
        "del d/y --from-key --prev-kv",
        "del",
    ],
    "txn": [
        "put t/a 1",
        ("txn", 'value("t/a") = "1"\n\nput t/a 2\nget t/a\n\nget t/b\n\n'),
        ("txn", 'mod("t/a") > "0"\nversion("t/a") = "7"\n\nput t/a 3\n\ndel t/a\nget t/a\n\n'),
        ("txn -w json", 'create("t/none") = "0"\n\nput t/none 1\nget t/ --prefix\n\nget t/a\n\n'),
        ("txn -w json", 'mod("t/none") > "0"\n\ndel t/none --prev-kv\n\n\n'),
        ("txn -i", 'value("t/a") < "9"\n\nget t/a\n\nput t/a 9\n\n'),
        ("txn", "\nput t/a 1\nput t/a 2\n\n\n"),
        ("txn", 'valu("t/a") = "1"\n\n\n\n'),
        ("txn", "\n\n\n"),
    ],
    "watch": [
        'put w/a 1 -w json>revision:revision":(\\d+)',
        "put w/a 2",
        "put w/b 3",
        "del w/a",
        "|9 watch w/a --rev={revision}",
        "|16 watch w/ --prefix --rev={revision} --prev-kv",
        "|1 watch w/a --rev={revision} -w json",
        "|9 watch w/a w/b --rev={revision}",
        "|4 watch w/b --rev={revision} -- echo seen",
    ],
    "lease": [
        "lease grant 100>lease:lease (\\w+) granted",
        "put l/a 1 --lease={lease}",
        "put l/b 2 --lease={lease}",
        "get l/a -w json",
        "lease timetolive {lease}",
        "lease timetolive {lease} --keys",
        "lease timetolive {lease} --keys -w json",
        "lease list",
        "lease list -w json",
        "lease keep-alive --once {lease}",
        "lease revoke {lease}",
        "lease revoke {lease}",
        "lease timetolive {lease}",
        "lease keep-alive --once {lease}",
        "get l/ --prefix",
        "lease grant 0",
        "lease grant x",
        "lease grant 10000000000",
        "lease revoke xyz",
    ],
    "compaction": [
        'put c/a 1 -w json>first:revision":(\\d+)',
        'put c/a 2 -w json>second:revision":(\\d+)',
        "put c/a 3",
        "compaction {second}",
        "get c/a --rev={first}",
        "get c/a --rev={second}",
        "compaction {first}",
        "compaction 1000000",
        "compaction x",
        'put c/a 4 -w json>third:revision":(\\d+)',
        "compaction --physical {third}",
        "|1 watch c/a --rev={first}",
        "defrag",
    ],
    "cluster": [
        "member list",
        "member list -w json",
        "member list -w table",
        "endpoint health",
        "endpoint health -w json",
        "endpoint status -w json",
        "endpoint hashkv -w json",
        "endpoint health --cluster",
        "member remove 123",
        "member promote 123",
        "member update 123 --peer-urls=http://127.0.0.1:1",
        "member update {member} --peer-urls=http://127.0.0.1:1/path",
        "member add n9 --peer-urls=nonsense",
        "member promote {member}",
        "move-leader {member}",
        "move-leader 123",
        "alarm list",
        "alarm disarm",
        "check datascale --load=x",
    ],
    "snapshot": ["put s/a 1", "snapshot save saved.db", "snapshot save"],
    "lock": [
        "lock lo/a echo held",
        "lock lo/a --ttl=5 sh -c exit",
        "get lo/ --prefix",
        "elect --listen",
        "elect e/a",
        "^2 lock lo/b",
        "^2 elect e/b proposal",
        "get e/ --prefix --keys-only",
    ],
    "auth": [
        "user add root:secret",
        "user add root:secret",
        "user add reader:secret",
        "user add other --no-password",
        ("user add third --interactive=false", "password\n"),
        "role add root",
        "role add reading",
        "role add reading",
        "role grant-permission reading read a/ --prefix",
        "role grant-permission reading readwrite b/x",
        "role grant-permission reading write c/a c/z",
        "role grant-permission none read a",
        "role grant-permission reading sometimes a",
        "role get reading",
        "role get reading -w json",
        "role get none",
        "role list",
        "user grant-role root root",
        "user grant-role reader reading",
        "user grant-role reader none",
        "user get reader",
        "user get reader --detail",
        "user list",
        ("user passwd reader --interactive=false", "changed\n"),
        "put a/1 x",
        "auth enable",
        "get a/1",
        "get a/1 --user=reader:secret",
        "get a/1 --user=reader:changed",
        "put a/1 y --user=reader:changed",
        "put b/x y --user=reader:changed",
        "get b/ --prefix --user=reader:changed",
        "del c/b c/c --user=reader:changed",
        "user list --user=reader:changed",
        "user get reader --user=reader:changed",
        "member list --user=reader:changed",
        "compaction 1 --user=reader:changed",
        "user delete root --user=root:secret",
        "role revoke-permission reading b/x --user=root:secret",
        "role revoke-permission reading a/ --prefix --user=root:secret",
        "user revoke-role reader reading --user=root:secret",
        "user revoke-role reader reading --user=root:secret",
        "get a/1 --user=reader:changed",
        "user delete reader --user=root:secret",
        "role delete reading --user=root:secret",
        "auth disable --user=root:secret",
        "auth disable",
        "role list",
        "user list",
        "user delete root",
        "user delete other",
        "user delete third",
        "role delete root",
    ],
}

# What 3.4 says otherwise than 3.6, and kubesim with it: command -> (in Debian's output, in kubesim's, why).
DIFFERENT: dict[str, tuple[str, str, str]] = {
    "compaction 1 --user=reader:changed": ("compacted", "permission denied", "3.4 lets every user compact, 3.6 only root"),
}


def words_of(command: str) -> tuple[str, ...]:
    return tuple(command.split(" ")) if "  " in command else tuple(command.split())


def follow(side: Side, words: tuple[str, ...], lines_max: int, *, interrupts: bool = True) -> tuple[str, ...]:
    """Run what does not end by itself: read so many lines, interrupt it."""
    with side.popen(words) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(lines_max)]
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=TIMEOUT_SECONDS)
    return tuple(side.plain(line) for line in [*lines, rest])


def step(side: Side, command: str, text: str) -> Any:
    """Do one command of a session; what it prints."""
    command, _, learned = command.partition(">")
    if command[0] in "|^":
        count, command = command[1:].split(" ", 1)
        return follow(side, words_of(command), int(count))
    if learned:
        with side.popen(words_of(command)) as process:
            out, error = process.communicate(side.fill(text), TIMEOUT_SECONDS)
        name, pattern = learned.split(":", 1)
        found = re.search(pattern, out)
        assert found, f"{command} printed {out!r} {error!r}"
        side.names[name] = found[1]
        return process.returncode, side.plain(out), side.plain(error)
    return side.run(words_of(command), text)


@pytest.mark.parametrize("session", SESSIONS)
def test_a_session_says_the_same(session: str, real: Real, member: Member, tmp_path: Path) -> None:
    sides = []
    for name, endpoint, peer in (("real", real.clients[0], real.peers[0]), ("kubesim", member.url, member.peer_url)):
        (tmp_path / name).mkdir()
        side = Side(endpoint, tmp_path / name)
        side.names = {"endpoint": endpoint, "address": endpoint.removeprefix("http://"), "peer": peer}
        with side.popen(("member", "list")) as process:
            side.names["member"] = process.communicate()[0].split(",")[0]
        side.names["revision"] = "1"
        sides.append(side)
    for entry in SESSIONS[session]:
        command, text = entry if isinstance(entry, tuple) else (entry, "")
        expected, found = (step(side, command, text) for side in sides)
        if command in DIFFERENT:
            old, new, _ = DIFFERENT[command]
            assert old in repr(expected) and new in repr(found), f"etcdctl {command}: {expected} {found}"
            continue
        assert found == expected, f"etcdctl {command}"


def of_cluster(endpoints: list[str], folder: Path) -> Side:
    """Return one side of a cluster of three; it knows who leads."""
    side = Side(",".join(endpoints), folder)
    statuses = []
    for endpoint in endpoints:
        with Side(endpoint, folder).popen(("endpoint", "status", "-w", "json")) as process:
            statuses.append(json.loads(process.communicate(timeout=TIMEOUT_SECONDS)[0])[0]["Status"])
    leader = statuses[0]["leader"]
    members = [status["header"]["member_id"] for status in statuses]
    side.names = {"leader": f"{leader:x}", "cluster": f"{statuses[0]['header']['cluster_id']:x}"}
    followers = [index for index, member in enumerate(members) if member != leader]
    for name, index in zip(("follower", "third"), followers, strict=True):
        side.names[name], side.names[f"at-{name}"] = f"{members[index]:x}", endpoints[index]
    side.names["at-leader"] = endpoints[members.index(leader)]
    return side


CLUSTER_SESSION = (
    "put m/a 1",
    "get m/a --endpoints={at-follower}",
    "endpoint health --endpoints={at-leader}",
    "move-leader {third}",
    "move-leader {leader}",
    "move-leader {leader} --endpoints={at-follower}",
    "move-leader 99",
    "put m/a 2 --endpoints={at-third}",
    "+member add n3 --learner --peer-urls=http://127.0.0.1:9>new:Member +(\\w+) added",
    "member add n4 --learner --peer-urls=http://127.0.0.1:10",
    "member add n3 --peer-urls=http://127.0.0.1:9",
    "member promote {new}",
    "member update {new} --peer-urls=http://127.0.0.1:11",
    "member remove {new}",
    "member remove {new}",
    "get m/ --prefix --endpoints={at-third} --consistency=s",
)


def test_a_cluster_says_the_same(zygote: Zygote, tmp_path: Path) -> None:
    """Leadership moves and members come and go, on three members of each kind. A step with + waits for them to know one another."""
    ours = [Member(zygote, tmp_path, f"n{index}", unsafe_no_fsync="true") for index in range(3)]
    (tmp_path / "real").mkdir()
    real = Real(tmp_path / "real", 3)
    try:
        for member in ours:
            member.start(ours, waits=False)
        for member in ours:
            member.wait()
        real.wait()
        sides = [of_cluster(real.clients, tmp_path), of_cluster([member.url for member in ours], tmp_path)]
        for command in CLUSTER_SESSION:
            expected, found = (_settled(side, command) for side in sides)
            assert found == expected, f"etcdctl {command}"
    finally:
        real.close()
        for member in ours:
            if member.process is not None:
                member.kill()


def _settled(side: Side, command: str) -> Any:
    if command[0] != "+":
        return step(side, command, "")
    for _ in range(60):
        try:
            return step(side, command[1:], "")
        except AssertionError:  # it said something else so far: the cluster is young
            time.sleep(0.3)
    return step(side, command[1:], "")
