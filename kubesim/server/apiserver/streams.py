"""Logs, exec and attach over the connection: a text that goes on, and the channels of a websocket. Port-forward is refused.

The websocket protocols are v4 and v5.channel.k8s.io: the first byte of a message is its channel. Upstream:
apimachinery/pkg/util/remotecommand, kubelet/pkg/cri/streaming.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qsl

import orjson

from kubesim.api.errors import ApiError
from kubesim.server.apiserver.answers import TEXT, Answer
from kubesim.server.apiserver.call import Call
from kubesim.server.apiserver.containers import Containers, Outcome, check_log_options

PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
STDIN, STDOUT, STDERR, ERROR, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255
LOOK_SECONDS = 0.5  # how often a followed log is read again
SUBRESOURCES = ("log", "exec", "attach", "portforward", "proxy")
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Feed:
    """An answer of text that goes on until it is over."""

    def __init__(self, chunks: AsyncIterator[bytes], content_type: str = TEXT) -> None:
        self.chunks = chunks
        self.content_type = content_type


class Streams:
    """Answers the calls for subresources that are streams."""

    def __init__(self, containers: Containers, wake: Callable[[], object], is_stopping: Callable[[], bool]) -> None:
        self._containers = containers
        self._wake = wake
        self._is_stopping = is_stopping

    def log(self, call: Call) -> Feed | Answer:
        """The log of a container. Raises ApiError."""
        target = call.target
        check_log_options(target.name, call.query)
        if self._containers.is_unbound(target.namespace, target.name, call.query.get("container", "")):
            return Answer(204, b"", "")
        text, count = self._containers.log(target.namespace, target.name, call.query)
        follows = call.query.get("follow") in ("true", "1")
        return Feed(self._follow(call, text, count, follows))

    async def _follow(self, call: Call, text: str, count: int, follows: bool) -> AsyncIterator[bytes]:
        target = call.target
        yield text.encode()
        container = call.query.get("container", "")
        while follows and not self._is_stopping():
            is_over = self._containers.is_over(target.namespace, target.name, container)
            try:
                text, count = self._containers.log(target.namespace, target.name, call.query, count)
            except ApiError:
                return
            if text:
                yield text.encode()
            if is_over:
                return
            await asyncio.sleep(LOOK_SECONDS)
            self._wake()

    def refuse(self, call: Call) -> ApiError:
        """Why a stream cannot be had over a plain request. Raises what is wrong before that."""
        target = call.target
        if target.subresource == "proxy":
            self._containers.proxy(target.resource, target.namespace, target.name)
            return no_forwarding()
        if target.subresource == "portforward":
            self._containers.forward(target.namespace, target.name)
            return no_forwarding()
        pod, _ = self._containers.find(target.namespace, target.name, call.query.get("container", ""))
        self._containers.check_node(pod)
        return ApiError(400, "BadRequest", "Upgrade request required")

    def check(self, call: Call) -> None:
        """Raise ApiError when there is no such container."""
        self._containers.find(call.target.namespace, call.target.name, call.query.get("container", ""))

    async def serve(self, call: Call, query: str, receive: Receive, send: Send) -> None:
        """Serve exec or attach on a websocket that is accepted already."""
        target = call.target
        commands = [value for key, value in parse_qsl(query, keep_blank_values=True) if key == "command"]
        container = call.query.get("container", "")
        try:
            if target.subresource == "exec":
                outcome = self._containers.execute(target.namespace, target.name, container, commands)
                status = await _tell(outcome, send)
            else:
                await self._attach(call, receive, send)
                status = {"metadata": {}, "status": "Success"}
        except ApiError as error:
            status = error.status
        await send({"type": "websocket.send", "bytes": bytes((ERROR,)) + orjson.dumps(status)})
        await send({"type": "websocket.close", "code": 1000})

    async def _attach(self, call: Call, receive: Receive, send: Send) -> None:
        """Send what the container prints from now on, until it ends or the client goes away."""
        target = call.target
        _, count = self._containers.log(target.namespace, target.name, {"container": call.query.get("container", "")})
        gone = asyncio.ensure_future(_until_gone(receive))
        try:
            while not gone.done() and not self._is_stopping():
                query = {"container": call.query.get("container", "")}
                text, count = self._containers.log(target.namespace, target.name, query, count)
                if text:
                    await send({"type": "websocket.send", "bytes": bytes((STDOUT,)) + text.encode()})
                if self._containers.is_over(target.namespace, target.name, query["container"]):
                    return
                await asyncio.wait([gone], timeout=LOOK_SECONDS)
                self._wake()
        finally:
            gone.cancel()


def no_forwarding() -> ApiError:
    """501 of port-forward and proxies: there is nothing behind a simulated port."""
    message = "kubesim simulates containers: no program listens behind their ports, so that nothing can be forwarded to them"
    return ApiError(501, "NotImplemented", message)


async def _tell(outcome: Outcome, send: Send) -> dict[str, Any]:
    for channel, text in ((STDOUT, outcome.stdout), (STDERR, outcome.stderr)):
        if text:
            await send({"type": "websocket.send", "bytes": bytes((channel,)) + text.encode()})
    if not outcome.code:
        return {"metadata": {}, "status": "Success"}
    message = f"command terminated with non-zero exit code: exit status {outcome.code}"
    causes = [{"reason": "ExitCode", "message": str(outcome.code)}]
    return {"metadata": {}, "status": "Failure", "message": message, "reason": "NonZeroExitCode", "details": {"causes": causes}}


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "websocket.disconnect":
        pass
