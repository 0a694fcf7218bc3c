"""Recorded kubectl sessions, run again: the same commands, by the same kubectl, against ``kubesim serve``, with the same outputs.

The folder is a parameter, KUBESIM_RECORDINGS_KUBECTL; every ``*.jsonl.gz`` in it is one session. At the end of a test run stands
"kubectl: N equal, M differ", and every command that differs is a line of the failure. Names that are drawn, addresses and times aside.
"""

import gzip
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.server.kubectl.compare import differences
from tests.server.kubectl.session import Output, Session

BESIDE = Path(__file__).resolve().parents[3].parent / "shared" / "conformance" / "kubectl"
FOLDER = Path(os.environ.get("KUBESIM_RECORDINGS_KUBECTL") or BESIDE)
FILES = sorted(FOLDER.glob("*.jsonl.gz"))
NAMES_FOLLOW = "name for the following"  # the note of a command whose output the following commands name
# What somebody else did while a command watched, by what it watched: it is in the recorded exchanges, not among the commands.
MEANWHILE: dict[tuple[str, ...], tuple[str, ...]] = {
    ("get", "pods", "-w"): ("scale", "deployment/ssa", "--replicas=3"),
    ("get", "deployment", "app", "-w", "--output-watch-events"): ("label", "deployment", "app", "w=1"),
    ("wait", "--for=delete", "pod/one", "--timeout=20s"): ("delete", "pod", "one"),
}
# The recorded nodes had no kubelet behind them, and a proxy between refused upgrades.
NO_KUBELET = ("logs", "exec", "attach", "port-forward", "cp")
Command = dict[str, Any]

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not FILES, reason="the recorded kubectl sessions are not beside the checkout (KUBESIM_RECORDINGS_KUBECTL)"),
    pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed"),
]


def verb_of(args: list[str]) -> str:
    """The command without its namespace."""
    return args[2] if args[0] == "-n" else args[0]


class Player:
    """Plays a session, with the names of this cluster where the recorded one had its own."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._names: dict[str, str] = {}

    def play(self, command: Command) -> Output:
        """Run a command as it was recorded."""
        args = [self._ours(arg) for arg in command["args"]]
        namespace, rest = (args[:2], args[2:]) if args[0] == "-n" else ([], args)
        meanwhile = [*namespace, *MEANWHILE.get(tuple(rest), ())]
        if not command["exchanges"]:
            return self.session.run(args, command["stdin"], kubeconfig="absent" if rest[0] == "config" else "")
        if command["rc"] == "stopped":
            return self._watch(args, command, meanwhile)
        if tuple(rest) in MEANWHILE:
            return self.session.run_beside(args, meanwhile)
        self.session.until("settled")
        done = self.session.run(args, command["stdin"])
        if command.get("note") == NAMES_FOLLOW:
            self._names[command["stdout"]] = done.stdout
        return done

    def _ours(self, arg: str) -> str:
        for recorded, ours in self._names.items():
            arg = arg.replace(recorded, ours)
        return arg.replace("DIR/", f"{self.session.directory}/")

    def _watch(self, args: list[str], command: Command, meanwhile: list[str]) -> Output:
        things = command["stdout"].count("\n}") if "json" in args else command["stdout"].count("\n")
        if "events" in args:
            things = things // 2  # what has been said by now; which of it differs
        listed = [arg for arg in args if arg not in ("-w", "--output-watch-events")]
        first = self.session.run(listed).stdout.count("\n") if len(meanwhile) > 2 else 0
        return self.session.watch(args, first, meanwhile, things)


@pytest.mark.parametrize("path", FILES, ids=[path.name.removesuffix(".jsonl.gz") for path in FILES])
def test_a_recorded_session_has_the_same_outputs(path: Path, tmp_path: Path, record_property: Any) -> None:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        commands = [json.loads(line) for line in lines]
    session = Session(tmp_path)
    player = Player(session)
    wrong: list[str] = []
    equal = 0
    for number, command in enumerate(commands):
        if verb_of(command["args"]) in NO_KUBELET:
            continue
        done = player.play(command)
        found = differences(
            command["args"], command["stdout"], done.stdout, is_part="events" in command["args"] and "-w" in command["args"]
        )
        found += differences([], command["stderr"], done.stderr)
        if command["rc"] not in ("stopped", done.code):
            found.append(f"exit status {done.code}; recorded {command['rc']}")
        if found:
            wrong.append(f"{number}: kubectl {' '.join(command['args'])}\n" + "\n".join(found[:40]))
        equal += not found
    assert session.close() == 0
    record_property("kubectl", f"{equal} equal, {len(wrong)} differ")
    assert not wrong, "\n".join(wrong)
