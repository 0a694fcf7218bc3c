"""What a tester does to a served cluster over HTTP, below ``/kubesim/``: move its clock, and add faults to its API.

=======================  ====================================================================================================
``GET /kubesim/time``    ``{"now": ..., "time": "stepped"}``
``POST /kubesim/advance``  ``{"duration": "5m"}``, or with ``"until": "Deployment web available"`` at most that long
``GET /kubesim/faults``  the faults with what they have hit, and the log of hits
``POST /kubesim/faults``   a fault, a list of them, or ``{"random": {"rate": 0.1}}``; ``faults.py`` has the fields
``DELETE /kubesim/faults``, ``/kubesim/faults/NUMBER``  take them back
=======================  ====================================================================================================

Who may: whom RBAC lets use these paths, so the administrator. Requests to them meet no faults.
"""

from collections.abc import Callable
from typing import Any

import orjson

from kubesim.api.errors import ApiError, bad_request
from kubesim.apiserver.server import ApiServer
from kubesim.cluster.conditions import holds, parse_condition
from kubesim.cluster.config import duration_ns
from kubesim.cluster.names import resource_of
from kubesim.drive.guest import Guest
from kubesim.drive.stepped import Stepped
from kubesim.kernel.time import format_micro_time
from kubesim.server.apiserver.answers import Answer
from kubesim.server.apiserver.call import Call
from kubesim.server.apiserver.faults import Faults, read_faults

PREFIX = "/kubesim/"
Driver = Guest | Stepped


def condition(server: ApiServer, text: str) -> Callable[[], bool]:
    """A condition such as ``"Deployment web available"`` as a function. Raises ValueError, ApiError 404 for an unknown kind."""
    kind, namespace, name, state = parse_condition(text)
    resource = resource_of(server, kind)
    place = namespace if resource.namespaced else ""
    return lambda: holds(state, server.peek(resource.name, place, name))


class Control:
    """Answers the paths below ``/kubesim/``."""

    def __init__(self, server: ApiServer, driver: Driver, faults: Faults) -> None:
        self._server = server
        self._driver = driver
        self._faults = faults

    async def answer(self, call: Call) -> Answer:
        """The answer. Raises ApiError."""
        path = call.path.removeprefix(PREFIX).strip("/")
        try:
            if path == "advance" and call.method == "POST":
                return await self._advance(_document(call))
            if path == "time" and call.method == "GET":
                return _answer(self._time())
            name, _, number = path.partition("/")
            if name == "faults" and (not number or (number.isdecimal() and call.method == "DELETE")):
                return self._on_faults(call, int(number or 0))
        except ValueError as error:
            raise bad_request(str(error)) from None
        raise ApiError(404, "NotFound", "the server could not find the requested resource", {})

    def _time(self) -> dict[str, Any]:
        return {"now": format_micro_time(self._server.kernel.now_ns), "time": "stepped" if isinstance(self._driver, Stepped) else "real"}

    async def _advance(self, document: Any) -> Answer:
        if not isinstance(document, dict) or not {"duration"} <= document.keys() <= {"duration", "until"}:
            raise ValueError(f'the body is {document!r:.60}; expected {{"duration": "5m"}}, perhaps with "until"')
        until = condition(self._server, str(document["until"])) if "until" in document else None
        reached = await self._driver.advance(duration_ns("duration", document["duration"]), until)
        return _answer({**self._time(), **({"reached": reached} if until is not None else {})})

    def _on_faults(self, call: Call, number: int) -> Answer:
        faults = self._faults
        if call.method == "POST":
            return _answer({"faults": [fault.as_dict() for fault in faults.add(read_faults(_document(call)))]}, 201)
        if call.method == "DELETE":
            removed = faults.remove(number)
            if number and not removed:
                raise ApiError(404, "NotFound", f"there is no fault {number}", {})
            return _answer({"removed": removed})
        if call.method != "GET":
            raise ApiError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource", {})
        names = ("time", "kind", "verb", "resource", "namespace", "name")
        log = [dict(zip(names, (format_micro_time(row[0]), *row[1:]))) for row in faults.log]
        return _answer({"faults": [fault.as_dict() for fault in faults.faults], "log": log})


def _document(call: Call) -> Any:
    if not call.body:
        return {key: value for key, value in call.query.items() if key != "timeout"}
    try:
        return orjson.loads(call.body)
    except orjson.JSONDecodeError as error:
        raise bad_request(f"the body is no JSON: {error}") from None


def _answer(document: Any, status: int = 200) -> Answer:
    return Answer(status, orjson.dumps(document))
