"""Recorded output of kubectl beside ours: equal but for names that are drawn, addresses, times, ages and versions.

Both sides are brought into one form first (``canonical``), then compared as what they are: objects (JSON, YAML), a diff, or blocks of text.
"""

import difflib
import itertools
import json
import re
from collections.abc import Sequence
from typing import Any

import yaml

DRAWN = "[bcdfghjklmnpqrstvwxz2456789]"  # the alphabet of generated suffixes and template hashes
FOLDED = (
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "<uid>"),
    (r"\bfake://[0-9a-f]{8}\b", "fake://<uid>"),
    (r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z| \+0000)", "<time>"),
    (r"\b[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d \+0000", "<time>"),
    (r"\bW\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ ", "W<time> "),
    (r"(LIVE|MERGED)-\d+", r"\1-<n>"),
    (r"/\S+/(LIVE|MERGED)-", r"TMP/\1-"),
    (r"\bhttps?://127\.0\.0\.1:\d+", "<server>"),
    (r"\b10\.(1|96|244)\.\d+\.\d+\b", "<ip>"),
    (r"\beyJ[\w-]+\.[\w-]+\.[\w-]+", "<token>"),
    (r"(resourceVersion\"?: )\"\d+\"", r'\1"<version>"'),
    (r"(Resource Version: +)\d+", r"\1<version>"),
    (rf"\b((?:[a-z0-9]+-)+?){DRAWN}{{7,10}}-{DRAWN}{{5}}\b", r"\1<hash>-<name>"),
    (rf"\b(app|ssa|cd|web)-{DRAWN}{{7,10}}\b", r"\1-<hash>"),
    (rf"(pod-template-hash\"?[=:] ?\"?){DRAWN}{{7,10}}\b", r"\1<hash>"),
    (rf"\bcj-\d+-{DRAWN}{{5}}\b", "cj-<minute>-<name>"),
    (r"\bcj-\d{7,}\b", "cj-<minute>"),
    (rf"\b(fromcj|j|app|kube-api-access)-{DRAWN}{{5}}\b", r"\1-<name>"),
    (r"\bz[012]\b", "<zone>"),
    (r"(?<=[\s(])(<invalid>|(\d+[smhd])+)( \(x\d+ over (<invalid>|(\d+[smhd])+)\))?(?=\s|$)", "<age>"),
    (r"\bkcm\b", "kube-controller-manager"),  # what the recorded one was called
    (r"Client Version: v1\.32\.\S+", "Client Version: v1.32"),
    (r'"targetPort": (27443|6443)', '"targetPort": 0'),  # where the apiserver itself listens
    # The sentences about the values of an enumerated field are in no published schema.
    (r"(?m)^ *\n( *)Possible enum values:\n( +.*\n| +- .*\n)*?(?= *\n)", ""),
)
NODE = r"\bnode-[123]\b|\b10\.0\.0\.[123]\b"
# The recorded control plane was OpenShift's build: a source of tokens' volumes, and rules of a role, that Kubernetes has not.
FOREIGN = "openshift-service-ca.crt"
FOREIGN_RULES = "/.well-known"


def canonical(text: str) -> str:
    """The text without what varies from run to run."""
    for pattern, replacement in FOLDED:
        text = re.sub(pattern, replacement, text)
    return text


def differences(args: Sequence[str], recorded: str, ours: str, is_part: bool = False) -> list[str]:
    """What of an output differs, line by line; empty: equal. ``is_part``: ours may lack lines, for it was stopped."""
    expected, found = _form(args, recorded), _form(args, ours)
    if is_part:
        expected = [line for line in expected if line in found]
    return _compare(expected, found)


def _form(args: Sequence[str], text: str) -> list[str]:
    text = canonical(text)
    if "rollout" in args and "status" in args:
        text = text.rstrip("\n").rpartition("\n")[2]  # what came in between hangs on fractions of seconds
    if not {"node", "nodes", "cordon", "uncordon", "cluster-info"} & set(args):
        text = re.sub(NODE, "<node>", text)
    if "events" in args:
        return _events(text)
    if "describe" in args and "node" in args:
        text = re.sub(r"(?m)^.*<hash>-<name>.*\n|(?<=\()\d+(?= in total)", "", text)  # which Pods run there is placement, too
        # Each start of the controller manager says so again.
        text = re.sub(r"(?m)^(  Normal +RegisteredNode).*\n(?:\1.*\n)+", r"\1 ...\n", text + "\n")
        text = re.sub(r"(?m)^(  Normal +RegisteredNode).*$", r"\1 ...", text)
    if "drain" in args:
        return sorted(set(re.sub(r"\S+/\S+-(<hash>-)?<name>", "<pod>", text).split("\n")))  # which Pods were there is placement
    if "dump" in args:
        kept = [json.dumps(_sorted(each), indent=1) for each in _documents(args, _without_logs(text)) if each["kind"] != "EventList"]
        return [line for each in kept for line in (each if '"kind": "NodeList"' in each else re.sub(NODE, "<node>", each)).split("\n")]
    if _wants_objects(args):
        return json.dumps([_sorted(each) for each in _documents(args, text)], indent=1, sort_keys=True).split("\n")
    blocks = [block.split("\n") for block in text.strip("\n").split("\n\n")]
    return [line for block in blocks for line in (*_block(block), "")]


def _events(text: str) -> list[str]:
    """What was said about whom. The steps of a rollout, the runs of a CronJob and what no server of metrics means hang on the clock."""
    found = {re.sub(" {2,}", "  ", line) for line in text.split("\n") if not re.search("(?i)horizontalpodautoscaler/|cj-<minute>", line)}
    return sorted({re.sub(r"from \d to \d", "from <n> to <n>", line.replace("(combined from similar events): ", "")) for line in found})


def _without_logs(text: str) -> str:
    return re.sub(r"(?m)^(====.*|unable to .*|Request log error.*|Error from server.*|the server could not find .*)$", "", text)


def _wants_objects(args: Sequence[str]) -> bool:
    return any(each in args for each in ("json", "yaml"))


def _documents(args: Sequence[str], text: str) -> list[Any]:
    if "yaml" in args:
        return list(yaml.safe_load_all(text))
    found, decoder, at = [], json.JSONDecoder(), 0
    while at < len(text):
        obj, at = decoder.raw_decode(text, at)
        found.append(obj)
        while at < len(text) and text[at].isspace():
            at += 1
    return found


def _sorted(value: Any) -> Any:
    """The value with lists of objects in an order that hangs on no drawn name."""
    if isinstance(value, dict):
        return {key: _sorted(each) for key, each in value.items()}
    if isinstance(value, list):
        kept = [_sorted(each) for each in value if not (isinstance(each, dict) and FOREIGN in json.dumps(each) and "configMap" in each)]
        if kept and all(isinstance(each, dict) and "metadata" in each for each in kept):
            kept.sort(key=lambda each: json.dumps(each, sort_keys=True))
        return kept
    return value


def _block(lines: list[str]) -> list[str]:
    """Columns without their widths; rows that begin with a drawn name sorted, the rows of a CronJob's runs counted once."""
    found = [re.sub(r"(?<=\S) {2,}", "  ", line.rstrip()) for line in lines]
    found = [re.sub(r"^(-{3,}  ?)+-*$", "---", line) for line in found]
    kept = [
        line
        for index, line in enumerate(found)
        if FOREIGN not in line and FOREIGN_RULES not in line and (not index or FOREIGN not in found[index - 1])
    ]
    runs = itertools.groupby(kept, lambda line: "<age>" in line or "<name>" in line or "<hash>" in line)
    ordered = [line for is_drawn, run in runs for line in (sorted(run) if is_drawn else run)]
    return [line for index, line in enumerate(ordered) if not ("<minute>" in line and line in ordered[:index])]


def _compare(recorded: list[str], ours: list[str]) -> list[str]:
    if recorded == ours:
        return []
    return list(difflib.unified_diff(recorded, ours, "recorded", "ours", lineterm="", n=1))
