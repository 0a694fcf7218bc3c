"""Admission policies and webhooks: tables of what is configured, what is sent and what comes of it; hooks are Python functions here."""

from base64 import b64encode
from typing import Any

import orjson
import pytest

from kubesim.api.errors import ApiError
from kubesim.apiserver.outside import Reply, Suspended
from kubesim.apiserver.requests import Request, create, delete, patch, update
from kubesim.kernel.time import SECOND

from .builders import config_map, deployment, namespace, pod

Object = dict[str, Any]
GROUP = "admissionregistration.k8s.io"
URL = "https://hook.example/x"
MAPS = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["configmaps"]}
DEPLOYMENTS = {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["*"], "resources": ["deployments"]}


def make(api, kind: str, plural: str, name: str = "p", **parts: Any) -> Object:
    """Create an object that configures admission."""
    made = {"apiVersion": f"{GROUP}/v1", "kind": kind, "metadata": {"name": name}, **parts}
    return api(create(f"{plural}.{GROUP}", "", made))


def policy(api, *validations: Object, rule: Object = MAPS, actions: tuple[str, ...] = ("Deny",), binding: Object | None = None,
           match: Object | None = None, **spec: Any) -> None:  # fmt: skip
    """A validating policy and its binding."""
    whole = {"matchConstraints": {"resourceRules": [rule], **(match or {})}, "validations": list(validations), **spec}
    make(api, "ValidatingAdmissionPolicy", "validatingadmissionpolicies", spec=whole)
    bound = {"policyName": "p", "validationActions": list(actions), **(binding or {})}
    make(api, "ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings", "b", spec=bound)


def mutation(api, *expressions: str, rule: Object = MAPS, name: str = "p", **spec: Any) -> None:
    """A mutating policy of JSON patches and apply configurations, and its binding."""
    mutations = [
        {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": each}} if each.startswith("Object")
        else {"patchType": "JSONPatch", "jsonPatch": {"expression": each}}
        for each in expressions
    ]  # fmt: skip
    whole = {"matchConstraints": {"resourceRules": [rule]}, "mutations": mutations, **spec}
    make(api, "MutatingAdmissionPolicy", "mutatingadmissionpolicies", name, spec=whole)
    make(api, "MutatingAdmissionPolicyBinding", "mutatingadmissionpolicybindings", name, spec={"policyName": name})


def webhook(api, kind: str = "Validating", name: str = "p", **fields: Any) -> None:
    """A configuration of one webhook."""
    hook = {"name": f"{name}.b.example", "clientConfig": {"url": URL}, "rules": [MAPS], "sideEffects": "None",
            "admissionReviewVersions": ["v1"], **fields}  # fmt: skip
    make(api, f"{kind}WebhookConfiguration", f"{kind.lower()}webhookconfigurations", name, webhooks=[hook])


def allowed(review: Object, **response: Any) -> Object:
    """The review that answers ``review``."""
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": {"uid": review["request"]["uid"], "allowed": True,
            **response}}  # fmt: skip


def patched(review: Object, *operations: Object) -> Object:
    """An answer with a JSON patch."""
    return allowed(review, patchType="JSONPatch", patch=b64encode(orjson.dumps(list(operations))).decode())


DENIED = "configmaps \"a\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: "


@pytest.mark.parametrize(
    ("validation", "spec", "code", "message"),
    [
        ({"expression": "object.data.k == 'v'"}, {}, 200, ""),
        ({"expression": "object.data.k == 'w'"}, {}, 422, f"{DENIED}failed expression: object.data.k == 'w'"),
        ({"expression": "false", "message": " no \n"}, {}, 422, f"{DENIED}no"),
        ({"expression": "false", "reason": "Forbidden", "messageExpression": "'k is ' + object.data.k"}, {}, 403, f"{DENIED}k is v"),
        ({"expression": "false", "message": "m", "messageExpression": "object.data.none"}, {}, 422, f"{DENIED}m"),
        ({"expression": "object.data.none == 'x'"}, {}, 422,
         f"{DENIED}expression 'object.data.none == 'x'' resulted in error: no such key: none"),
        ({"expression": "object.data.none == 'x'"}, {"failurePolicy": "Ignore"}, 200, ""),
        ({"expression": "variables.long"}, {"variables": [{"name": "size", "expression": "object.data.k.size()"},
         {"name": "long", "expression": "variables.size > 3"}]}, 422, f"{DENIED}failed expression: variables.long"),
        ({"expression": "false"}, {"matchConditions": [{"name": "c", "expression": "object.metadata.name != 'a'"}]}, 200, ""),
        ({"expression": "false"}, {"matchConditions": [{"name": "c", "expression": "object.nothing == 1"}]}, 422,
         f"{DENIED}expression 'object.nothing == 1' resulted in error: no such key: nothing"),
        ({"expression": "oldObject == null && request.operation == 'CREATE' && request.resource.resource == 'configmaps'"}, {}, 200, ""),
        ({"expression": "namespaceObject.metadata.name == 'default' && request.userInfo.username == 'ann'"}, {}, 200, ""),
        ({"expression": "authorizer.group('').resource('pods').namespace('x').check('get').allowed()"}, {}, 200, ""),
        ({"expression": "authorizer.requestResource.check('create').reason() == ''"}, {}, 200, ""),
    ],
)  # fmt: skip
def test_validations(api, validation: Object, spec: Object, code: int, message: str) -> None:
    policy(api, validation, **spec)
    request = create("configmaps", "default", config_map("a"))
    request.user = "ann"
    assert api.outcome(request) == (code, message)


@pytest.mark.parametrize(
    ("rule", "match", "is_matched"),
    [
        (MAPS, {}, True),
        ({**MAPS, "operations": ["UPDATE"]}, {}, False),
        ({**MAPS, "resources": ["*"]}, {}, True),
        ({**MAPS, "resources": ["configmaps/status"]}, {}, False),
        ({**MAPS, "apiGroups": ["*"], "resources": ["*/*"]}, {}, True),
        ({**MAPS, "scope": "Cluster"}, {}, False),
        ({**MAPS, "resourceNames": ["b"]}, {}, False),
        (MAPS, {"excludeResourceRules": [{**MAPS, "resourceNames": ["a"]}]}, False),
        (MAPS, {"objectSelector": {"matchLabels": {"a": "b"}}}, False),
        (MAPS, {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "default"}}}, True),
        (MAPS, {"namespaceSelector": {"matchExpressions": [{"key": "x", "operator": "Exists"}]}}, False),
    ],
)
def test_what_a_policy_is_about(api, rule: Object, match: Object, is_matched: bool) -> None:
    policy(api, {"expression": "false"}, rule=rule, match=match)
    assert (api.outcome(create("configmaps", "default", config_map("a")))[0] == 422) is is_matched


@pytest.mark.parametrize(
    ("reference", "params", "message"),
    [
        ({"name": "q", "namespace": "default"}, {"q": "3"}, f"{DENIED}failed expression: params.data.most == '4'"),
        ({"name": "q"}, {"q": "4"}, ""),
        ({"selector": {"matchLabels": {"is": "param"}}}, {"q": "4", "r": "5"}, f"{DENIED}failed expression: params.data.most == '4'"),
        ({"name": "none", "parameterNotFoundAction": "Allow"}, {}, ""),
        ({"name": "none", "parameterNotFoundAction": "Deny"}, {},
         f"{DENIED}failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction"),
    ],
)  # fmt: skip
def test_parameters(api, reference: Object, params: Object, message: str) -> None:
    for name, most in params.items():
        api(create("configmaps", "default", {**config_map(name, labels={"is": "param"}), "data": {"most": most}}))
    kind = {"apiVersion": "v1", "kind": "ConfigMap"}
    reference = {"parameterNotFoundAction": "Deny", **reference}
    policy(api, {"expression": "params.data.most == '4'"}, paramKind=kind, binding={"paramRef": reference})
    assert api.outcome(create("configmaps", "default", config_map("a"))) == (422 if message else 200, message)


def test_warnings_and_annotations_are_what_the_binding_says(api) -> None:
    noted = {"key": "k", "valueExpression": "'size ' + string(object.data.size())"}
    policy(api, {"expression": "false", "message": "m"}, actions=("Warn", "Audit"), auditAnnotations=[noted])
    warnings: list[str] = []
    annotations: Object = {}
    made = create("configmaps", "default", config_map("a"), warnings=warnings, annotations=annotations)
    api(made)
    assert warnings == ["Validation failed for ValidatingAdmissionPolicy 'p' with binding 'b': m"]
    failure = orjson.loads(annotations.pop("validation.policy.admission.k8s.io/validation_failure"))
    assert failure == [{"message": "m", "policy": "p", "binding": "b", "expressionIndex": 0, "validationActions": ["Warn", "Audit"]}]
    assert annotations == {"p/k": "size 1"}


def test_a_policy_sees_updates_deletes_and_scales(api) -> None:
    rule = {**DEPLOYMENTS, "resources": ["deployments", "deployments/scale"]}
    ok = "request.operation == 'DELETE' ? oldObject.spec.replicas == 1 : object.spec.replicas < 5"
    policy(api, {"expression": ok}, rule=rule)
    api(create("deployments.apps", "default", deployment("d", 1)))
    assert api.outcome(patch("deployments.apps", "default", "d", {"spec": {"replicas": 5}}))[0] == 422
    assert api.outcome(patch("deployments.apps", "default", "d", {"spec": {"replicas": 6}}, subresource="scale"))[0] == 422
    api(patch("deployments.apps", "default", "d", {"spec": {"replicas": 2}}, subresource="scale"))
    assert api.outcome(delete("deployments.apps", "default", "d"))[0] == 422
    api(patch("deployments.apps", "default", "d", {"spec": {"replicas": 1}}))
    api(delete("deployments.apps", "default", "d"))


def test_policies_do_not_hold_for_what_configures_them_and_end_when_they_go(api) -> None:
    every = {"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*/*"]}
    policy(api, {"expression": "false"}, rule=every)
    assert api.outcome(create("configmaps", "default", config_map("a")))[0] == 422
    api(delete(f"validatingadmissionpolicybindings.{GROUP}", "", "b"))
    api(create("configmaps", "default", config_map("a")))
    assert not api.server.dynamic.is_on


@pytest.mark.parametrize(
    ("expressions", "data"),
    [
        (['Object{data: {"x": "1"}}'], {"k": "v", "x": "1"}),
        (['[JSONPatch{op: "add", path: "/data/" + jsonpatch.escapeKey("a.b"), value: "2"}]'], {"k": "v", "a.b": "2"}),
        (['[JSONPatch{op: "test", path: "/data/k", value: "w"}, JSONPatch{op: "remove", path: "/data/k"}]'], {"k": "v"}),
        (['Object{data: {"x": "1"}}', 'Object{data: {"y": object.data.x + "2"}}'], {"k": "v", "x": "1", "y": "12"}),
        (["Object{data: object.data.size() > 1 ? object.data : {'z': 'z'}}"], {"k": "v", "z": "z"}),
    ],
)
def test_mutations(api, expressions: list[str], data: Object) -> None:
    mutation(api, *expressions)
    assert api(create("configmaps", "default", config_map("a")))["data"] == data


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("Object{spec: Object.metadata{}}",
         'type mismatch: unexpected type name "Object.metadata", expected "Object.spec", which matches field name path from root Object'),
        ('[JSONPatch{op: "remove", path: "/data/none"}]',
         "JSONPath: error in remove for path: '/data/none': unable to remove nonexistent key: none"),
        ("Object{data: {'x': object.data.none}}",
         "expression 'Object{data: {'x': object.data.none}}' resulted in error: no such key: none"),
        ("Object{metadata: Object.metadata{ownerReferences: [Object.metadata.ownerReferences{name: 'x'}]}}",
         "error applying patch: failed to convert patch object to typed object: "),
    ],
)  # fmt: skip
def test_a_mutation_that_cannot_be(api, expression: str, message: str) -> None:
    mutation(api, expression)
    code, text = api.outcome(create("configmaps", "default", config_map("a")))
    assert (code, text.startswith(f"policy 'p' with binding 'p' denied request: {message}")) == (403, True), text


def test_a_policy_is_asked_again_when_others_have_changed_the_object(api) -> None:
    mutation(api, "Object{data: {'first': object.data.size() > 1 ? 'late' : 'early'}}", name="a", reinvocationPolicy="IfNeeded")
    mutation(api, "Object{data: {'second': 'x'}}", name="b")
    assert api(create("configmaps", "default", config_map("a")))["data"] == {"k": "v", "first": "late", "second": "x"}


def test_a_hook_is_told_everything(api) -> None:
    reviews: list[Object] = []
    api.server.outside.register("https://hook.example/", lambda review: reviews.append(review) or allowed(review))
    webhook(api)
    made = api(Request("create", "configmaps", "default", "a", config_map("a"), options={"fieldManager": "m"}, user="ann"))
    api(update("configmaps", {**made, "data": {"k": "w"}}))
    first, second = (review["request"] for review in reviews)
    assert {key: first[key] for key in ("kind", "resource", "name", "namespace", "operation", "userInfo", "dryRun", "oldObject")} == {
        "kind": {"group": "", "version": "v1", "kind": "ConfigMap"}, "resource": {"group": "", "version": "v1", "resource": "configmaps"},
        "name": "a", "namespace": "default", "operation": "CREATE", "userInfo": {"username": "ann", "groups": ["system:authenticated"]},
        "dryRun": False, "oldObject": None,
    }  # fmt: skip
    assert first["object"]["metadata"]["uid"] == made["metadata"]["uid"]
    assert first["options"] == {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1", "fieldManager": "m"}
    assert (second["object"]["data"], second["oldObject"]["data"]) == ({"k": "w"}, {"k": "v"})


CALLING = 'Internal error occurred: failed calling webhook "p.b.example": '
POST = f'failed to call webhook: Post "{URL}?timeout=10s": '
NO = {"code": 418, "reason": "Teapot", "message": "short and stout"}


@pytest.mark.parametrize(
    ("answer", "code", "message"),
    [
        (allowed, 200, ""),
        (lambda review: allowed(review, allowed=False), 400, 'admission webhook "p.b.example" denied the request without explanation'),
        (lambda review: allowed(review, allowed=False, status=NO), 418,
         'admission webhook "p.b.example" denied the request: short and stout'),
        (lambda review: allowed(review, allowed=False, status={"code": 200, "reason": "Why"}), 400,
         'admission webhook "p.b.example" denied the request: Why'),
        (lambda review: allowed(review, uid="other"), 500,
         f'{CALLING}received invalid webhook response: expected response.uid="<uid>", got "other"'),
        (lambda review: {**allowed(review), "apiVersion": "v2"}, 500,
         f"{CALLING}received invalid webhook response: expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, "
         "got /v2, Kind=AdmissionReview"),
        (lambda review: {"kind": "AdmissionReview"}, 500, f"{CALLING}received invalid webhook response: webhook response was absent"),
        (patched, 500, f"{CALLING}received invalid webhook response: validating webhook may not return response.patch"),
        (lambda review: [1], 500, f"{CALLING}failed to call webhook: couldn't get version/kind; json parse error: "
         "json: cannot unmarshal array into Go value of type "),
        (lambda review: 1 / 0, 500, f"{CALLING}{POST}EOF (ZeroDivisionError: division by zero)"),
    ],
)  # fmt: skip
def test_answers_of_a_validating_hook(api, answer: Any, code: int, message: str) -> None:
    uids: list[str] = []
    api.server.outside.register(URL, lambda review: uids.append(review["request"]["uid"]) or answer(review))
    webhook(api)
    found, text = api.outcome(create("configmaps", "default", config_map("a")))
    assert (found, text.replace(uids[0], "<uid>").startswith(message)) == (code, True), text


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (Reply(500, b"boom"), 'failed to call webhook: an error on the server ("boom") has prevented the request from succeeding'),
        (Reply(404, b""), "failed to call webhook: the server could not find the requested resource"),
        (Reply(200, b"hi"), "failed to call webhook: couldn't get version/kind; json parse error: "
         "invalid character 'h' looking for beginning of value"),
        (Reply(200, b"{"), "failed to call webhook: couldn't get version/kind; json parse error: unexpected end of JSON input"),
        (Reply(200, b""), "failed to call webhook: 0-length response with status code: 200 and content type: "),
        (Reply(302, b""), "failed to call webhook: the server responded with the status code 302 but did not return more information"),
    ],
)  # fmt: skip
def test_replies_that_are_rubbish(api, reply: Reply, message: str) -> None:
    class Broken:
        def ask(self, question: Any) -> Reply:
            return reply

    api.server.outside = Broken()
    webhook(api)
    error = api.error(create("configmaps", "default", config_map("a")))
    assert (error.code, error.message) == (500, CALLING + message)
    assert error.details == {"causes": [{"message": CALLING.removeprefix("Internal error occurred: ") + message}]}


@pytest.mark.parametrize(
    ("client", "latency", "failure"),
    [
        ({"url": "https://nowhere.example/"}, 0,
         'Post "https://nowhere.example/?timeout=10s": dial tcp: lookup nowhere.example: no such host'),
        ({"url": "https://127.0.0.1:1/y?a=b"}, 0,
         'Post "https://127.0.0.1:1/y?a=b&timeout=10s": dial tcp 127.0.0.1:1: connect: connection refused'),
        ({"service": {"namespace": "n", "name": "s", "path": "z"}}, 0, 'Post "https://s.n.svc:443/z?timeout=10s": service "s" not found'),
        ({"url": URL}, 10 * SECOND, f'Post "{URL}?timeout=10s": context deadline exceeded'),
    ],
)  # fmt: skip
def test_a_hook_that_is_down_or_slow(api, client: Object, latency: int, failure: str) -> None:
    api.server.outside.register(URL, allowed, latency)
    webhook(api, clientConfig=client)
    made = create("configmaps", "default", config_map("a"))
    assert api.outcome(made) == (500, f"{CALLING}failed to call webhook: {failure}")
    assert api.outcome(create("configmaps", "default", config_map("a"), dryRun=True))[0] == 500
    api(delete(f"validatingwebhookconfigurations.{GROUP}", "", "p"))
    webhook(api, clientConfig=client, failurePolicy="Ignore")
    api(made)


def test_a_service_is_a_hook_too(api) -> None:
    api.server.outside.register("n/s", lambda review: allowed(review, warnings=["mind the gap"]))
    webhook(api, clientConfig={"service": {"namespace": "n", "name": "s"}})
    warnings: list[str] = []
    api(create("configmaps", "default", config_map("a"), warnings=warnings))
    assert warnings == ["mind the gap"]


def test_hooks_patch_one_after_the_other_and_again_if_they_ask_for_it(api) -> None:
    calls: list[str] = []

    def first(review: Object) -> Object:
        data = review["request"]["object"]["data"]
        calls.append(f"first of {len(data)}")
        return patched(review, {"op": "add", "path": "/data/first", "value": str(len(data))})

    def second(review: Object) -> Object:
        calls.append("second")
        return patched(review, {"op": "add", "path": "/data/second", "value": "x"})

    api.server.outside.register("https://hook.example/first", first)
    api.server.outside.register("https://hook.example/second", second)
    for name, policy_ in (("first", "IfNeeded"), ("second", "Never")):
        webhook(api, "Mutating", name, clientConfig={"url": f"https://hook.example/{name}"}, reinvocationPolicy=policy_)
    made = api(create("configmaps", "default", config_map("a")))
    assert (made["data"], calls) == ({"k": "v", "first": "3", "second": "x"}, ["first of 1", "second", "first of 3"])


def test_what_a_hook_adds_goes_through_the_plugins_and_the_defaults(api) -> None:
    sidecar = {"name": "side", "image": "side:1"}
    api.server.outside.register(URL, lambda review: patched(review, {"op": "add", "path": "/spec/containers/-", "value": sidecar}))
    webhook(api, "Mutating", rules=[{**MAPS, "resources": ["pods"]}])
    made = [api(create("pods", "default", pod(name)))["spec"]["containers"] for name in ("a", "b")]
    assert [[container["name"] for container in containers] for containers in made] == [["app", "side"], ["app", "side"]]
    assert made[0][1]["imagePullPolicy"] == "IfNotPresent"


@pytest.mark.parametrize(
    ("fields", "labels", "is_asked"),
    [
        ({"objectSelector": {"matchLabels": {"a": "b"}}}, {}, False),
        ({"objectSelector": {"matchLabels": {"a": "b"}}}, {"a": "b"}, True),
        ({"namespaceSelector": {"matchLabels": {"a": "b"}}}, {}, False),
        ({"matchConditions": [{"name": "c", "expression": "object.data.k != 'v'"}]}, {}, False),
        ({"rules": [{**MAPS, "operations": ["DELETE"]}]}, {}, False),
    ],
)
def test_what_a_hook_is_about(api, fields: Object, labels: Object, is_asked: bool) -> None:
    webhook(api, **fields)
    assert (api.outcome(create("configmaps", "default", config_map("a", labels=labels)))[0] == 500) is is_asked


def test_a_condition_with_an_error_refuses(api) -> None:
    webhook(api, matchConditions=[{"name": "c", "expression": "object.nothing"}])
    why = "expression 'object.nothing' resulted in error: no such key: nothing"
    assert api.outcome(create("configmaps", "default", config_map("a"))) == (403, f'configmaps "a" is forbidden: {why}')


def test_a_hook_is_asked_about_deletes_bindings_and_namespaces(api) -> None:
    asked: list[str] = []
    api.server.outside.register(URL, lambda review: asked.append(_shown(review["request"])) or allowed(review))
    rule = {**MAPS, "operations": ["*"], "resources": ["pods", "pods/binding", "pods/eviction", "namespaces"]}
    webhook(api, rules=[rule])
    api(create("namespaces", "", namespace("x")))
    api(create("pods", "default", pod("p")))
    binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n"}}
    api(Request("create", "pods", "default", "p", binding, "binding"))
    api(delete("pods", "default", "p", gracePeriodSeconds=0))
    assert asked == ["CREATE Namespace", "CREATE Pod", "CREATE Binding binding", "DELETE Pod"]


def _shown(request: Object) -> str:
    return " ".join(each for each in (request["operation"], request["kind"]["kind"], request.get("subResource", "")) if each)


def test_a_hook_that_takes_time_suspends_the_request(api) -> None:
    class Slow:
        def ask(self, question: Any) -> None:
            self.question = question

        def ask_later(self, question: Any, done: Any) -> None:
            self.done = done

    slow = api.server.outside = Slow()
    webhook(api, "Mutating")
    made: list[Any] = []
    with pytest.raises(Suspended) as pause:
        api(create("configmaps", "default", config_map("a")))
    pause.value.then(made.append)
    assert made == []
    slow.done(Reply(body=orjson.dumps(patched(slow.question.body, {"op": "add", "path": "/data/x", "value": "y"}))))
    assert made[0]["data"] == {"k": "v", "x": "y"}
    api.server.submit(create("configmaps", "default", config_map("b")), made.append)
    slow.done(Reply(failure="EOF"))
    assert isinstance(made[1], ApiError)
    assert made[1].code == 500


@pytest.mark.parametrize(
    ("spec", "path", "why"),
    [
        ({"validations": [{"expression": "object.("}]}, "spec.validations[0].expression", "compilation failed: ERROR: <input>:1:8: Syntax"),
        ({"validations": [{"expression": "1"}]}, "spec.validations[0].expression", "must evaluate to bool"),
        ({"validations": [{"expression": "nope"}]}, "spec.validations[0].expression",
         "compilation failed: ERROR: <input>:1:1: undeclared reference to 'nope' (in container '')"),
        ({"validations": [{"expression": "params.a == 1"}]}, "spec.validations[0].expression",
         "compilation failed: ERROR: <input>:1:1: undeclared reference to 'params' (in container '')"),
        ({"validations": [{"expression": "variables.x"}]}, "spec.validations[0].expression",
         "compilation failed: ERROR: <input>:1:10: undefined field 'x'"),
        ({"validations": [{"expression": "request.nope == ''"}]}, "spec.validations[0].expression",
         "compilation failed: ERROR: <input>:1:8: undefined field 'nope'"),
        ({"validations": [{"expression": "true", "messageExpression": "1"}]}, "spec.validations[0].messageExpression",
         "must evaluate to string"),
        ({"validations": [{"expression": "variables.x"}], "variables": [{"name": "x", "expression": "1 + 1"}]},
         "spec.validations[0].expression", "must evaluate to bool"),
        ({"validations": [{"expression": "true"}], "matchConditions": [{"name": "c", "expression": "'a'"}]},
         "spec.matchConditions[0].expression", "must evaluate to bool"),
        ({"auditAnnotations": [{"key": "k", "valueExpression": "1"}]}, "spec.auditAnnotations[0].valueExpression",
         "must evaluate to one of [string null_type]"),
    ],
)  # fmt: skip
def test_expressions_that_mean_nothing_are_refused_with_their_policy(api, spec: Object, path: str, why: str) -> None:
    with pytest.raises(ApiError) as caught:
        make(api, "ValidatingAdmissionPolicy", "validatingadmissionpolicies", spec={"matchConstraints": {"resourceRules": [MAPS]}, **spec})
    [cause] = caught.value.details["causes"]
    assert (cause["field"], why in cause["message"]) == (path, True), cause
