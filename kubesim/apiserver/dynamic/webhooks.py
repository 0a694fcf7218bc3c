"""Admission webhooks: which of them an operation concerns, what is asked, what an answer means, and upstream's words for what goes wrong.

The calls are questions to the outside (``outside.py``): generators yield them. Validating hooks are asked one after the other here, where
upstream asks them at once; the first refusal in the order of configurations counts.

Upstream: apiserver/pkg/admission/plugin/webhook (generic/webhook.go, mutating/dispatcher.go, validating/dispatcher.go,
request/admissionreview.go, errors/statuserror.go), client-go/rest/request.go (what it makes of a reply).
"""

from base64 import b64decode
from binascii import Error as BadBase64
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from kubesim.api.errors import ApiError, bad_request, forbidden
from kubesim.api.patch import PatchFailed, apply_operations
from kubesim.apiserver.dynamic.expressions import Expression, conditions_hold, expression
from kubesim.apiserver.dynamic.matching import Namespaces, namespace_matches, object_matches, version_of
from kubesim.apiserver.dynamic.operation import Operation
from kubesim.apiserver.outside import Question, Reply
from kubesim.kernel.time import SECOND

Object = dict[str, Any]
REVIEW = "AdmissionReview"
GROUP = "admission.k8s.io"
VERSIONS = ("v1", "v1beta1")
IGNORE, EXACT = "Ignore", "Exact"
NAMES = ("object", "oldObject", "request", "authorizer", "params", "namespaceObject", "variables")
REFUSALS = {  # what client-go says of a status, when the body is no Status
    400: "the server rejected our request for an unknown reason",
    401: "the server has asked for the client to provide credentials",
    403: "unknown",
    404: "the server could not find the requested resource",
    405: "the server does not allow this method on the requested resource",
    409: "the server reported a conflict",
    415: "the body of the request was in an unknown format - accepted media types include: ",
    422: "the server rejected our request due to an error in our request",
    429: "the server has received too many requests and has asked us to try again later",
    503: "the server is currently unable to handle the request",
    504: "the server was unable to return a response in the time allotted, but may still be processing the request",
}


class Hook(NamedTuple):
    """A webhook of a configuration, its conditions compiled."""

    configuration: str
    place: int
    given: Mapping[str, Any]
    conditions: tuple[Expression, ...]
    is_mutating: bool

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.given["name"])

    @property
    def ignores_failures(self) -> bool:
        """Whether the request goes on when the hook cannot be asked."""
        return self.given.get("failurePolicy") == IGNORE

    @property
    def identity(self) -> tuple[str, ...]:
        """What tells it from others, for reinvocation."""
        return self.configuration, str(self.place), self.name


class CallFailed(Exception):
    """A hook that could not be asked, or did not answer properly."""


def hooks_of(configurations: Iterable[Object], is_mutating: bool) -> tuple[Hook, ...]:
    """The hooks of all configurations, by the configurations' names."""
    found = []
    for configuration in sorted(configurations, key=lambda each: str(each["metadata"]["name"])):
        for index, given in enumerate(configuration.get("webhooks") or ()):
            conditions = tuple(expression(each.get("expression", ""), NAMES) for each in given.get("matchConditions") or ())
            found.append(Hook(configuration["metadata"]["name"], index, given, conditions, is_mutating))
    return tuple(found)


Bind = Callable[[str], Object]


def concerned(hook: Hook, operation: Operation, versions: Sequence[str], namespaces: Namespaces, bind: Bind) -> str:
    """The version in which a hook is to be asked, or "" when it is not. Raises ApiError 403 or 404."""
    given = hook.given
    usable = versions[:1] if given.get("matchPolicy") == EXACT else versions
    version = version_of(given.get("rules") or (), operation, usable)
    if not version or not namespace_matches(given.get("namespaceSelector"), operation, namespaces):
        return ""
    if not object_matches(given.get("objectSelector"), operation):
        return ""
    if hook.conditions:
        matched = conditions_hold(hook.conditions, bind(version), hook.ignores_failures)
        if matched.error:
            raise forbidden(operation.resource.name, operation.name or "Unknown", matched.error)
        if not matched.holds:
            return ""
    return version


def question_of(hook: Hook, review: Object) -> Question:
    """What is posted where."""
    client, seconds = hook.given["clientConfig"], hook.given.get("timeoutSeconds") or 10
    return posted(client, review, seconds)


def posted(client: Mapping[str, Any], document: Object, seconds: int) -> Question:
    """A document for a webhook's ``clientConfig`` (of any kind of webhook)."""
    service = client.get("service")
    where: tuple[str, str, int] | None = None
    if service is not None:
        port = service.get("port") or 443
        where = (service["namespace"], service["name"], port)
        path = service.get("path") or "/"
        url = f"https://{where[1]}.{where[0]}.svc:{port}{path if path.startswith('/') else '/' + path}"
    else:
        url = client["url"]
    url += f"{'&' if '?' in url else '?'}timeout={seconds}s"
    try:
        authority = b64decode(client.get("caBundle") or "")
    except (BadBase64, ValueError):
        authority = b""
    return Question(url, document, where, authority, seconds * SECOND)


def review_of(hook: Hook, operation: Operation, version: str, uid: str) -> Object:
    """The AdmissionReview that a hook is sent, in the first version that both know."""
    spoken = next((each for each in hook.given.get("admissionReviewVersions") or VERSIONS if each in VERSIONS), "v1")
    request = operation.admission_request(version, uid, with_objects=True)
    return {"kind": REVIEW, "apiVersion": f"{GROUP}/{spoken}", "request": request}


def document_of(question: Question, reply: Reply) -> Object:
    """The JSON object of a reply. Raises CallFailed with client-go's words."""
    if reply.failure:
        raise CallFailed(f'Post "{question.url}": {reply.failure}')
    if not 200 <= reply.status < 300:
        raise CallFailed(_status_text(reply))
    if not reply.body:
        raise CallFailed(f"0-length response with status code: {reply.status} and content type: ")
    try:
        found = orjson.loads(reply.body)
    except orjson.JSONDecodeError as error:
        raise CallFailed(f"couldn't get version/kind; json parse error: {_go_syntax(reply.body, error)}") from None
    if not isinstance(found, dict):
        kind = {list: "array", str: "string", bool: "bool"}.get(type(found), "number")
        what = "struct { APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }"
        raise CallFailed(f"couldn't get version/kind; json parse error: json: cannot unmarshal {kind} into Go value of type {what}")
    return found


def _go_syntax(body: bytes, error: orjson.JSONDecodeError) -> str:
    text = body.decode(errors="replace")
    if error.pos >= len(text.rstrip()):
        return "unexpected end of JSON input"
    what = "looking for beginning of value" if error.pos == len(text) - len(text.lstrip()) else "after top-level value"
    return f"invalid character '{text[error.pos]}' {what}"


def _status_text(reply: Reply) -> str:
    try:
        body = orjson.loads(reply.body)
        if isinstance(body, dict) and body.get("kind") == "Status" and body.get("message"):
            return str(body["message"])
    except orjson.JSONDecodeError:
        pass
    text = reply.body.decode(errors="replace").strip()
    if reply.status in REFUSALS and not (reply.status == 503 and text):
        return REFUSALS[reply.status]
    if reply.status in (429, 503) or reply.status >= 500:
        quoted = orjson.dumps(text or "unknown").decode()
        return f"an error on the server ({quoted}) has prevented the request from succeeding"
    return f"the server responded with the status code {reply.status} but did not return more information"


class Verdict(NamedTuple):
    """What a hook decided. ``patch`` are JSON patch operations."""

    allowed: bool
    result: Mapping[str, Any]
    patch: list[Any]


def verdict_of(hook: Hook, review: Object, answer: Object) -> Verdict:
    """The response of an AdmissionReview, checked. Raises CallFailed."""
    response, uid = answer.get("response"), review["request"]["uid"]
    is_beta = review["apiVersion"].endswith("beta1")
    if not isinstance(response, dict):
        raise CallFailed("webhook response was absent")
    if not is_beta:
        if response.get("uid", "") != uid:
            raise CallFailed(f"expected response.uid={_quoted(uid)}, got {_quoted(response.get('uid', ''))}")
        group, _, version = str(answer.get("apiVersion", "")).rpartition("/")
        if (answer.get("apiVersion"), answer.get("kind")) != (review["apiVersion"], REVIEW):
            got = f"{group}/{version}, Kind={answer.get('kind', '')}"
            raise CallFailed(f"expected webhook response of {GROUP}/v1, Kind={REVIEW}, got {got}")
    patch, type_ = response.get("patch") or "", response.get("patchType")
    if hook.is_mutating:
        if patch and type_ is None and not is_beta:
            raise CallFailed("webhook returned response.patch but not response.patchType")
        if not patch and type_ is not None and not is_beta:
            raise CallFailed("webhook returned response.patchType but not response.patch")
        if patch and type_ not in ("JSONPatch", None):
            raise CallFailed(f"webhook returned invalid response.patchType of {_quoted(type_)}")
    elif not is_beta:
        if patch:
            raise CallFailed("validating webhook may not return response.patch")
        if type_ is not None:
            raise CallFailed("validating webhook may not return response.patchType")
    return Verdict(response.get("allowed") is True, response.get("status") or {}, _patch(patch) if hook.is_mutating else [])


def _quoted(text: Any) -> str:
    return orjson.dumps(text).decode()


class BadPatch(CallFailed):
    """A patch that is none."""


def _patch(text: str) -> list[Any]:
    if not text:
        return []
    try:
        found = orjson.loads(b64decode(text, validate=True))
    except (BadBase64, ValueError) as error:
        raise BadPatch(f"received undecodable patch in webhook response: {error}") from None
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        why = "json: cannot unmarshal object into Go value of type jsonpatch.Patch"
        raise BadPatch(f"received undecodable patch in webhook response: {why}")
    return found


def rejection(hook: Hook, result: Mapping[str, Any]) -> ApiError:
    """The error of a hook that said no: its own status, never one that means success."""
    denied = f'admission webhook "{hook.name}" denied the request'
    why = result.get("message") or result.get("reason")
    code = result.get("code") or 0
    return ApiError(
        code if code >= 400 else 400, result.get("reason") or "", f"{denied}: {why}" if why else f"{denied} without explanation",
        dict(result.get("details") or {}),
    )  # fmt: skip


def unreachable(hook: Hook, why: str) -> ApiError:
    """The error of a request that a hook would have had to allow."""
    message = f'failed calling webhook "{hook.name}": {why}'
    return ApiError(500, "InternalError", f"Internal error occurred: {message}", {"causes": [{"message": message}]})


def call(hook: Hook, operation: Operation, version: str, uid: str) -> Generator[Any, Any, Verdict | None]:
    """Ask a hook; None when it failed and failures are ignored. Raises ApiError when it refuses, or fails and failures count."""
    if operation.is_dry and hook.given.get("sideEffects") not in ("None", "NoneOnDryRun"):
        raise bad_request(f'admission webhook "{hook.name}" does not support dry run')
    review = review_of(hook, operation, version, uid)
    question = question_of(hook, review)
    reply = yield ("ask", question)
    try:
        try:
            answer = document_of(question, reply)
        except CallFailed as failure:
            raise CallFailed(f"failed to call webhook: {failure}") from None
        try:
            verdict = verdict_of(hook, review, answer)
        except BadPatch:
            raise
        except CallFailed as failure:
            raise CallFailed(f"received invalid webhook response: {failure}") from None
    except CallFailed as failure:
        if hook.ignores_failures:
            kind = "mutation" if hook.is_mutating else "validating"
            operation.annotations[f"failed-open.{kind}.webhook.admission.k8s.io/round_0_index_{hook.place}"] = hook.name
            return None
        raise unreachable(hook, str(failure)) from None
    response = answer["response"]
    for key, value in (response.get("auditAnnotations") or {}).items():
        operation.annotations[f"{hook.name}/{key}"] = value
    for text in response.get("warnings") or ():
        operation.request.warn(text)
    if not verdict.allowed:
        raise rejection(hook, verdict.result)
    return verdict


def patched(hook: Hook, obj: Object | None, patch: list[Any]) -> Object:
    """The object that a hook's patch makes. Raises ApiError 500."""
    if obj is None:
        why = f'admission webhook "{hook.name}" attempted to modify the object, which is not supported for this operation'
        raise ApiError(500, "InternalError", f"Internal error occurred: {why}", {"causes": [{"message": why}]})
    try:
        return apply_operations(obj, patch)
    except PatchFailed as failure:
        why = str(failure)
        raise ApiError(500, "InternalError", f"Internal error occurred: {why}", {"causes": [{"message": why}]}) from None
