"""What containers say to whoever asks: their logs, and the answers to a few commands, from the model of the kubelets. Pure reads.

Nothing is executed: a container is a model, so ``exec`` knows the handful of programs whose answer follows from the Pod (echo, env,
hostname, cat of a file in a volume, ...) and says of any other that it is not found.

Upstream: pkg/registry/core/pod/strategy.go (LogLocation), kubelet/server.
"""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from kubesim.api.errors import ApiError, bad_request
from kubesim.apiserver.server import ApiServer
from kubesim.kernel.time import SECOND, format_time, parse_time
from kubesim.kubelet.kubelets import Kubelets

Object = dict[str, Any]
NOT_FOUND, FAILED = 127, 1


class Outcome(NamedTuple):
    """What a command printed and how it ended."""

    stdout: str
    stderr: str = ""
    code: int = 0


class Containers:
    """Reads containers of an apiserver's Pods; without kubelets every answer is that nobody is there."""

    def __init__(self, server: ApiServer, kubelets: Kubelets | None) -> None:
        self._server = server
        self._kubelets = kubelets

    def find(self, namespace: str, name: str, container: str) -> tuple[Object, str]:
        """The Pod and the container that is meant. Raises ApiError 404 or 400."""
        pod = self._server.get("pods", namespace, name)
        spec = pod["spec"]
        names = [each["name"] for field in ("initContainers", "containers", "ephemeralContainers") for each in spec.get(field) or ()]
        if container:
            if container not in names:
                raise bad_request(f"container {container} is not valid for pod {name}")
            return pod, container
        mains = [each["name"] for each in spec["containers"]]
        if len(names) == 1 or len(mains) == 1:
            return pod, mains[0]
        default = (pod["metadata"].get("annotations") or {}).get("kubectl.kubernetes.io/default-container")
        if default in mains:
            return pod, str(default)
        raise bad_request(f"a container name must be specified for pod {name}, choose one of: [{' '.join(mains)}]")

    def lines(self, namespace: str, name: str, container: str) -> list[Any]:
        """All lines that a container has printed. Raises ApiError 400 or 404."""
        pod, chosen = self.find(namespace, name, container)
        if not pod["spec"].get("nodeName"):
            return []
        if self._kubelets is None:
            raise ApiError(404, "NotFound", "the server could not find the requested resource", {})
        waiting = _waiting(pod, chosen)
        if waiting:
            raise bad_request(f'container "{chosen}" in pod "{name}" is waiting to start: {waiting}')
        try:
            return self._kubelets.logs(namespace, name, chosen)
        except ValueError:
            return []

    def log(self, namespace: str, name: str, query: Mapping[str, str], after: int = 0) -> tuple[str, int]:
        """The text of a log from the line ``after`` on, and how many lines there are now. Raises ApiError."""
        lines = self.lines(namespace, name, query.get("container", ""))
        count = len(lines)
        chosen = lines[after:]
        now_ns = self._server.kernel.now_ns
        if query.get("sinceSeconds"):
            since_ns = now_ns - _number(query, "sinceSeconds") * SECOND
            chosen = [line for line in chosen if line.time_ns >= since_ns]
        if query.get("sinceTime"):
            try:
                since_ns = parse_time(query["sinceTime"])
            except ValueError as error:
                raise bad_request(f"sinceTime: {error}") from None
            chosen = [line for line in chosen if line.time_ns >= since_ns]
        if query.get("tailLines") and not after:
            tail = _number(query, "tailLines")
            chosen = chosen[-tail:] if tail else []
        stamps = query.get("timestamps") in ("true", "1")
        text = "".join(f"{_stamp(line.time_ns)} {line.text}\n" if stamps else f"{line.text}\n" for line in chosen)
        if query.get("limitBytes"):
            text = text[: _number(query, "limitBytes")]
        return text, count

    def is_over(self, namespace: str, name: str, container: str) -> bool:
        """Whether a container has ended, or is gone."""
        pod = self._server.peek("pods", namespace, name)
        if pod is None:
            return True
        statuses = (pod.get("status") or {}).get("containerStatuses") or ()
        return any("terminated" in (status.get("state") or {}) for status in statuses if not container or status["name"] == container)

    def execute(self, namespace: str, name: str, container: str, command: Sequence[str]) -> Outcome:
        """What a command in a container prints. Raises ApiError 404, 400 or 500."""
        pod, chosen = self.find(namespace, name, container)
        if self._kubelets is None or not pod["spec"].get("nodeName"):
            raise bad_request(f"pod {name} does not have a host assigned")
        phase = (pod.get("status") or {}).get("phase")
        if phase in ("Succeeded", "Failed"):
            raise ApiError(500, "InternalError", f"cannot exec into a container in a completed pod; current phase is {phase}")
        statuses = (pod.get("status") or {}).get("containerStatuses") or ()
        if not any(status["name"] == chosen and "running" in (status.get("state") or {}) for status in statuses):
            raise ApiError(500, "InternalError", f'container not found ("{chosen}")')
        return self._run(pod, chosen, list(command))

    def _run(self, pod: Object, container: str, command: list[str]) -> Outcome:
        if len(command) >= 3 and command[0].rpartition("/")[2] in ("sh", "bash", "ash") and command[1] == "-c":
            try:
                command = shlex.split(command[2])
            except ValueError as error:
                return Outcome("", f"sh: {error}\n", 2)
        program, arguments = (command[0].rpartition("/")[2], command[1:]) if command else ("", [])
        if program in ("true", ":", "sleep"):
            return Outcome("")
        if program == "false":
            return Outcome("", "", FAILED)
        if program == "echo":
            return Outcome(" ".join(arguments) + "\n")
        if program == "hostname":
            return Outcome(f"{pod['spec'].get('hostname') or pod['metadata']['name']}\n")
        if program == "date":
            return Outcome(f"{format_time(self._server.kernel.now_ns)}\n")
        if program in ("env", "printenv"):
            return Outcome("".join(f"{name}={value}\n" for name, value in _environment(pod, container)))
        if program == "cat" and arguments:
            return self._cat(pod, container, arguments)
        shown = program or "command"
        return Outcome("", f"{shown}: executable file not found in $PATH: a container of kubesim is a model\n", NOT_FOUND)

    def _cat(self, pod: Object, container: str, paths: list[str]) -> Outcome:
        assert self._kubelets is not None
        metadata = pod["metadata"]
        parts: list[str] = []
        for path in paths:
            try:
                file = self._kubelets.file(metadata["namespace"], metadata["name"], container, path)
            except ValueError:
                return Outcome("".join(parts), f"cat: can't open '{path}': No such file or directory\n", FAILED)
            parts += [f"{line.text}\n" for line in file.read(self._server.kernel.now_ns)]
        return Outcome("".join(parts))


def _number(query: Mapping[str, str], name: str) -> int:
    text = query[name]
    if not text.isdecimal():
        raise bad_request(f'unable to decode query as PodLogOptions: {name}: strconv.ParseInt: parsing "{text}": invalid syntax')
    return int(text)


def _stamp(time_ns: int) -> str:
    return f"{format_time(time_ns)[:-1]}.{time_ns % SECOND:09d}Z"


def _waiting(pod: Object, container: str) -> str:
    status = pod.get("status") or {}
    statuses = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    for found in statuses:
        if found["name"] == container:
            waiting = (found.get("state") or {}).get("waiting")
            return str(waiting.get("reason", "")) if waiting and not (found.get("lastState") or {}) else ""
    return "ContainerCreating" if status.get("phase") == "Pending" else ""


def _environment(pod: Object, container: str) -> list[tuple[str, str]]:
    spec = pod["spec"]
    found = [("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"), ("HOSTNAME", pod["metadata"]["name"])]
    for field in ("initContainers", "containers", "ephemeralContainers"):
        for each in spec.get(field) or ():
            if each["name"] == container:
                found += [
                    (variable["name"], variable.get("value", "")) for variable in each.get("env") or () if "valueFrom" not in variable
                ]
    return found
