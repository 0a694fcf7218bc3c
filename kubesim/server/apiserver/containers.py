"""What containers say to whoever asks: their logs, and the answers to a few commands, from the model of the kubelets. Pure reads.

Nothing is executed: a container is a model, so ``exec`` knows the handful of programs whose answer follows from the Pod (echo, env,
hostname, cat of a file in a volume, ...) and says of any other that it is not found.

Upstream: pkg/registry/core/pod/strategy.go (LogLocation), kubelet/server.
"""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from kubesim.api import field
from kubesim.api.errors import ApiError, bad_request, invalid, not_found
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
        names = [each["name"] for group in ("initContainers", "containers", "ephemeralContainers") for each in spec.get(group) or ()]
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

    def check_node(self, pod: Object) -> None:
        """Raise what upstream says when the kubelet of a Pod cannot be reached."""
        name = pod["spec"].get("nodeName")
        if not name:
            raise bad_request(f"pod {pod['metadata']['name']} does not have a host assigned")
        node = self._server.peek("nodes", "", name)
        if node is None:
            raise not_found("pods", name)
        check_addresses(node)
        if self._kubelets is None:
            host = node["status"]["addresses"][0]["address"]
            message = f"error dialing backend: dial tcp {host}:10250: connect: connection refused"
            raise ApiError(500, "", message)

    def is_unbound(self, namespace: str, name: str, container: str) -> bool:
        """Whether a Pod has no node yet: its log is no content. Raises ApiError 404 or 400."""
        return not self.find(namespace, name, container)[0]["spec"].get("nodeName")

    def forward(self, namespace: str, name: str) -> None:
        """Raise why nothing can be forwarded to a Pod."""
        self.check_node(self._server.get("pods", namespace, name))

    def proxy(self, resource: str, namespace: str, name: str) -> None:
        """Raise why nothing can be proxied to a Pod, a node or a service, where upstream would say so, too."""
        scheme_and_name = name.split(":")
        base = scheme_and_name[1] if len(scheme_and_name) == 3 else scheme_and_name[0]
        found = self._server.get(resource, "" if resource == "nodes" else namespace, base)
        if resource == "pods" and not (found.get("status") or {}).get("podIP"):
            raise bad_request("address not allowed")
        if resource == "nodes":
            check_addresses(found)
        if resource == "services":
            port = scheme_and_name[-1] if len(scheme_and_name) > 1 else ""
            ports = found["spec"].get("ports") or ()
            if port and not any(port in (each.get("name"), str(each["port"])) for each in ports):
                raise ApiError(503, "ServiceUnavailable", f'no service port {port} found for service "{base}"')
            if self._server.peek("endpoints", namespace, base) is None:
                raise not_found("services", base)

    def lines(self, namespace: str, name: str, container: str) -> list[Any]:
        """All lines that a container has printed. Raises ApiError 400, 404 or 500."""
        pod, chosen = self.find(namespace, name, container)
        if not pod["spec"].get("nodeName"):
            return []
        self.check_node(pod)
        assert self._kubelets is not None
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
        self.check_node(pod)
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


def check_addresses(node: Object) -> None:
    """Raise 500 for a node that nobody knows how to reach."""
    if not (node.get("status") or {}).get("addresses"):
        raise ApiError(500, "", "no preferred addresses found; known addresses: []")


def check_log_options(name: str, query: Mapping[str, str]) -> None:
    """Raise 422 for numbers of a log request that cannot be."""
    errors = []
    for option, least, words in (
        ("tailLines", 0, "must be greater than or equal to 0"),
        ("limitBytes", 1, "must be greater than 0"),
        ("sinceSeconds", 1, "must be greater than 0"),
    ):
        text = query.get(option, "")
        if text.removeprefix("-").isdecimal() and int(text) < least:
            errors.append(field.invalid(option, int(text), words))
    if errors:
        raise invalid("PodLogOptions", name, errors)


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
    for group in ("initContainers", "containers", "ephemeralContainers"):
        for each in spec.get(group) or ():
            if each["name"] == container:
                found += [
                    (variable["name"], variable.get("value", "")) for variable in each.get("env") or () if "valueFrom" not in variable
                ]
    return found
