"""Questions that are posted and answered at once: who am I, may I, whose token is this, a token for this account.

Upstream: pkg/registry/{authentication,authorization}, pkg/registry/core/serviceaccount/storage/token.go and the validation of their types.
"""

from collections.abc import Callable, Mapping
from typing import Any

from kubesim.api import field, schema
from kubesim.api.errors import FieldError, bad_request, invalid
from kubesim.apiserver.server import ApiServer
from kubesim.kernel.time import SECOND, format_time
from kubesim.server.apiserver import bodies
from kubesim.server.apiserver.answers import Answer
from kubesim.server.apiserver.call import Call
from kubesim.server.apiserver.encoding import Encoder
from kubesim.server.apiserver.encoding_schemas import SCHEMAS
from kubesim.server.apiserver.issuer import Issuer
from kubesim.server.apiserver.rbac import Attributes
from kubesim.server.apiserver.users import AUTHENTICATED, Authenticator, User

Object = dict[str, Any]
AUTHENTICATION, AUTHORIZATION = "authentication.k8s.io", "authorization.k8s.io"
EXPIRATION_SECONDS = 3600
EXPIRATION_SECONDS_MIN, EXPIRATION_SECONDS_MAX = 600, 2**32


class Reviews:
    """Answers the calls that are questions; others are not its business."""

    def __init__(self, server: ApiServer, encoder: Encoder, authenticator: Authenticator, authorizer: Any, issuer: Issuer) -> None:
        self._server = server
        self._encoder = encoder
        self._authenticator = authenticator
        self._authorizer = authorizer
        self._issuer = issuer
        self._handlers: Mapping[tuple[str, str], Callable[[Call, Object], Object]] = {
            (AUTHENTICATION, "selfsubjectreviews"): self._self_subject,
            (AUTHENTICATION, "tokenreviews"): self._token_review,
            (AUTHORIZATION, "selfsubjectaccessreviews"): self._self_access,
            (AUTHORIZATION, "subjectaccessreviews"): self._subject_access,
            (AUTHORIZATION, "localsubjectaccessreviews"): self._local_access,
            (AUTHORIZATION, "selfsubjectrulesreviews"): self._rules,
        }

    def answer(self, call: Call) -> Answer | None:
        """The answer to a question, None for a call that is none. Raises ApiError."""
        target, route = call.target, call.route
        assert route is not None
        if target.group == "" and target.resource == "serviceaccounts" and target.subresource == "token":
            return self._plain(call, self._token_request(call, self._body(call, "TokenRequest", f"{AUTHENTICATION}/v1")))
        handler = self._handlers.get((target.group, target.resource))
        if handler is None:
            return None
        return self._plain(call, handler(call, self._body(call, route.kind, route.api_version)))

    def _body(self, call: Call, kind: str, api_version: str) -> Object:
        body = bodies.decode_any(call)
        given = (body.get("apiVersion") or api_version, body.get("kind") or kind)
        if given != (api_version, kind):
            version = given[0].rpartition("/")[2]
            raise bad_request(
                f'{given[1]} in version "{version}" cannot be handled as a {kind}: no kind "{given[1]}" is registered for version '
                f'"{given[0]}" in scheme "k8s.io/kubernetes/pkg/api/legacyscheme/scheme.go:30"'
            )
        name = SCHEMAS[api_version, kind]
        problems = [problem for problem in schema.check(body, name) if problem.kind == "type"]
        error = schema.decode_error(kind, "v1", problems)
        if error is not None:
            raise error
        cleaned = schema.clean(body, name)
        return {
            "kind": kind,
            "apiVersion": api_version,
            **{key: value for key, value in cleaned.items() if key not in ("kind", "apiVersion")},
        }

    def _plain(self, call: Call, obj: Object) -> Answer:
        return Answer(201, self._encoder.any(obj, call.form.media), call.form.media)

    # -- authentication --

    def _self_subject(self, call: Call, body: Object) -> Object:
        metadata = {"creationTimestamp": self._server.now_text()}
        return {"kind": body["kind"], "apiVersion": body["apiVersion"], "metadata": metadata, "status": {"userInfo": call.user.info}}

    def _token_review(self, call: Call, body: Object) -> Object:
        spec = body.get("spec") or {}
        token, wanted = spec.get("token", ""), spec.get("audiences") or [self._issuer.url]
        if not token:
            raise bad_request("token is required for TokenReview in authentication")
        static = self._authenticator.tokens.get(token)
        signed = None if static is not None else self._issuer.verify(token)
        status: Object
        if static is not None:
            status = {"authenticated": True, "user": static.info, "audiences": [each for each in wanted if each == self._issuer.url]}
        elif signed is not None:
            user, audiences = signed
            common = [each for each in audiences if each in wanted]
            if common:
                status = {"authenticated": True, "user": user.info, "audiences": common}
            else:
                shown, target = _go_list(audiences), _go_list(wanted)
                status = {"error": f"[invalid bearer token, token audiences {shown} is invalid for the target audiences {target}]"}
        else:
            status = {"error": "invalid bearer token"}
        return {**body, "status": status}

    def _token_request(self, call: Call, body: Object) -> Object:
        target = call.target
        account = self._server.get("serviceaccounts", target.namespace, target.name)
        name = (body.get("metadata") or {}).get("name")
        if name and name != target.name:
            problem = field.invalid("metadata.name", name, "must match the service account name if specified")
            raise invalid("TokenRequest", target.name, [problem], AUTHENTICATION)
        namespace = (body.get("metadata") or {}).get("namespace")
        if namespace and namespace != target.namespace:
            problem = field.invalid("metadata.namespace", namespace, "must match the service account namespace if specified")
            raise invalid("TokenRequest", target.name, [problem], AUTHENTICATION)
        spec = body.get("spec") or {}
        seconds = spec.get("expirationSeconds", EXPIRATION_SECONDS)
        if seconds < EXPIRATION_SECONDS_MIN:
            raise _refused(
                "TokenRequest", AUTHENTICATION, "spec.expirationSeconds", seconds, "may not specify a duration less than 10 minutes"
            )
        if seconds > EXPIRATION_SECONDS_MAX:
            why = "may not specify a duration larger than 2^32 seconds"
            raise _refused("TokenRequest", AUTHENTICATION, "spec.expirationSeconds", seconds, why)
        audiences = spec.get("audiences") or [self._issuer.url]
        reference = spec.get("boundObjectRef")
        bound = self._issuer.bound_object(reference, target.namespace) if reference else None
        now_ns = self._server.kernel.now_ns
        token = "" if call.is_dry else self._issuer.sign(account, audiences, seconds, bound)
        metadata = {
            "name": target.name,
            "namespace": target.namespace,
            "uid": account["metadata"]["uid"],
            "creationTimestamp": format_time(now_ns),
        }
        full = {"audiences": audiences, "expirationSeconds": seconds}
        if reference:
            full["boundObjectRef"] = reference
        status = {"token": token, "expirationTimestamp": format_time(now_ns + seconds * SECOND)}
        return {"kind": "TokenRequest", "apiVersion": f"{AUTHENTICATION}/v1", "metadata": metadata, "spec": full, "status": status}

    # -- authorization --

    def _self_access(self, call: Call, body: Object) -> Object:
        spec = body.get("spec") or {}
        _check_attributes(spec, "")
        return {**body, "metadata": {}, "status": self._decide(call.user, spec)}

    def _subject_access(self, call: Call, body: Object) -> Object:
        spec = body.get("spec") or {}
        _check_attributes(spec, "spec.user")
        return {**body, "metadata": {}, "status": self._decide(_user_of(spec), spec)}

    def _local_access(self, call: Call, body: Object) -> Object:
        spec = body.get("spec") or {}
        namespace = call.target.namespace
        _check_attributes(spec, "spec.user")
        given = (spec.get("resourceAttributes") or {}).get("namespace", "")
        if given != namespace:
            raise _refused("", AUTHORIZATION, "spec.resourceAttributes.namespace", given, "must match metadata.namespace")
        return {**body, "status": self._decide(_user_of(spec), spec)}

    def _decide(self, user: User, spec: Object) -> Object:
        decision = self._authorizer.decide(user, _attributes_of(spec))
        status: Object = {"allowed": decision.allowed}
        if decision.reason:
            status["reason"] = decision.reason
        if decision.error:
            status["evaluationError"] = decision.error
        return status

    def _rules(self, call: Call, body: Object) -> Object:
        namespace = (body.get("spec") or {}).get("namespace", "")
        if not namespace:
            raise bad_request("no namespace on request")
        rules, errors = self._authorizer.rules_of(call.user, namespace)
        resource_rules = [{key: rule[key] for key in ("verbs", "apiGroups", "resources", "resourceNames") if rule.get(key)}
                          for rule in rules if rule.get("resources")]  # fmt: skip
        path_rules = [{key: rule[key] for key in ("verbs", "nonResourceURLs")} for rule in rules if rule.get("nonResourceURLs")]
        status: Object = {"resourceRules": resource_rules, "nonResourceRules": path_rules, "incomplete": bool(errors)}
        if errors:
            status["evaluationError"] = ", ".join(dict.fromkeys(errors))
        return {"kind": body["kind"], "apiVersion": body["apiVersion"], "metadata": {}, "spec": {}, "status": status}


def _go_list(values: Any) -> str:
    return "[" + " ".join(f'"{value}"' for value in values) + "]"


def _refused(kind: str, group: str, path: str, value: Any, why: str) -> Exception:
    return invalid(kind, "", [field.invalid(path, value, why)], group)


def _check_attributes(spec: Object, user_path: str) -> None:
    resource, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    errors: list[FieldError] = []
    if resource is not None and path is not None:
        shown = {key.capitalize(): path.get(key, "") for key in ("path", "verb")}
        errors.append(field.invalid("spec.nonResourceAttributes", shown, "cannot be specified in combination with resourceAttributes"))
    if resource is None and path is None:
        why = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        errors.append(field.invalid("spec.resourceAttributes", None, why))
    if user_path and not spec.get("user") and not spec.get("groups"):
        errors.append(field.invalid(user_path, "", "at least one of user or group must be specified"))
    if errors:
        raise invalid("", "", errors, AUTHORIZATION)


def _attributes_of(spec: Object) -> Attributes:
    resource, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes") or {}
    if resource is None:
        return Attributes(path.get("verb", ""), False, path=path.get("path", ""))
    names = ("verb", "group", "resource", "subresource", "namespace", "name")
    values = {name: resource.get(name, "") for name in names}
    return Attributes(is_resource=True, **values)


def _user_of(spec: Object) -> User:
    return User(spec.get("user", ""), tuple(spec.get("groups") or ()), spec.get("uid", ""), spec.get("extra") or {})


__all__ = ["AUTHENTICATED", "Reviews"]
