"""A process that has imported the server and forks a member on request: a start costs a fork instead of an import of half a second.

One JSON object a line: ``{"start": [flags...], "log": file}`` is answered with the process, ``{"wait": process}`` with its exit status,
negative for a signal. A forked member is what ``kubesim etcd`` is, from its flags on; with ``"command": "serve"`` what ``serve`` is.
"""

import json
import os
import sys
from typing import Any

from kubesim.cli.etcd import etcd
from kubesim.server.etcd import process  # noqa: F401  # imported here so that the children need not


def serve_command() -> Any:
    """``kubesim serve``, imported when somebody starts one."""
    from kubesim.cli.serve import serve
    from kubesim.server.apiserver import process as _  # noqa: F401

    return serve


def main() -> None:
    """Serve requests until the input ends."""
    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            _, status = os.waitpid(request["wait"], 0)
            print(os.waitstatus_to_exitcode(status), flush=True)
            continue
        command = etcd if request.get("command", "etcd") == "etcd" else serve_command()
        child = os.fork()
        if child == 0:
            log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(log, 1)
            os.dup2(log, 2)
            status = 70
            try:
                command.main(request["start"], standalone_mode=False)
                status = 0
            except SystemExit as stop:
                status = stop.code if isinstance(stop.code, int) else 1
            finally:
                os._exit(status)
        print(child, flush=True)


if __name__ == "__main__":
    main()
