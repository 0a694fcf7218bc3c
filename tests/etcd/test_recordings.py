"""Every KV, transaction, compaction and lease call of the recordings of a real etcd v3.6 has the recorded answer."""

import pytest

from tests.etcd.gateway import RECORDINGS, Gateway, sequences, untied

# family: how many of its calls are to what is built
CALLS = {"kv": 4000, "txn": 4000, "compaction": 3500, "lease": 3000, "errors": 1500}


def is_about_size(answer: dict) -> bool:
    """Whether a server's limit on encoded messages refused the call: that is for the server, which has them encoded."""
    return "too large" in answer.get("message", "").replace("too large lease", "") or "larger than max" in answer.get("message", "")


@pytest.mark.shared
@pytest.mark.skipif(not RECORDINGS.exists(), reason="the folder of recordings is not beside the checkout")
@pytest.mark.parametrize("family", CALLS)
def test_the_recorded_answers(family: str, record_property) -> None:
    calls = 0
    for name, header, lines in sequences(family):
        gateway = Gateway(header["flags"])
        for line in lines:
            if line["op"] == "sleep":
                gateway.sleep(line["ms"])
            elif line["op"] == "call" and line["path"] in gateway.paths and not is_about_size(line["resp"]):
                expected, found = (untied(answer, line["req"]) for answer in (line["resp"], gateway.call(line)))
                assert found == expected, f"{name} operation {line['i']}: {line['path']} {line['req']}"
                calls += 1
        gateway.etcd.store.check()
    record_property("calls", calls)
    assert calls >= CALLS[family]
