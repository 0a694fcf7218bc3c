"""``authorizer`` in expressions: may the user of the request, or another one, do something else?

The question is a record that methods complete; ``check`` asks whoever decides. Upstream: apiserver/pkg/cel/library/authz.go.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from kubesim.api.cel.errors import CelError
from kubesim.api.cel.table import METHODS, method, need

User = Mapping[str, Any]  # username, uid, groups, extra
Decide = Callable[[User, Mapping[str, str]], "Decision"]


class Decision(NamedTuple):
    """What was decided, and why."""

    allowed: bool
    reason: str = ""
    error: str = ""


class Authorizer(NamedTuple):
    """Who is asked, and about whom; ``resource`` are the facts of the request itself."""

    decide: Decide
    user: User
    resource: Mapping[str, str]


class Question(NamedTuple):
    """A question in the making: a path, or group, resource, subresource, namespace and name."""

    authorizer: Authorizer
    facts: Mapping[str, str]


def _opens(fact: str) -> Callable[[Any, str], Question]:
    def open_(authorizer: Any, value: str) -> Question:
        need(isinstance(authorizer, Authorizer) and isinstance(value, str))
        return Question(authorizer, {fact: value})

    return open_


def _adds(fact: str) -> Callable[[Any, str], Question]:
    def add(question: Any, value: str) -> Question:
        need(isinstance(question, Question) and isinstance(value, str))
        return Question(question.authorizer, {**question.facts, fact: value})

    return add


METHODS["path"], METHODS["group"] = _opens("path"), _opens("group")
for _fact in ("resource", "subresource", "namespace", "name", "fieldSelector", "labelSelector"):
    METHODS[_fact] = _adds(_fact)


@method("serviceAccount")
def _service_account(authorizer: Any, namespace: str, name: str) -> Authorizer:
    need(isinstance(authorizer, Authorizer))
    if not namespace or not name:
        raise CelError("Invalid service account name" if namespace else "Invalid service account namespace")
    groups = ["system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"]
    return authorizer._replace(user={"username": f"system:serviceaccount:{namespace}:{name}", "groups": groups})


@method("check")
def _check(question: Any, verb: str) -> Decision:
    need(isinstance(question, Question) and isinstance(verb, str))
    authorizer: Authorizer = question.authorizer
    return authorizer.decide(authorizer.user, {**question.facts, "verb": verb})


def _decided(get: Callable[[Decision], Any]) -> Callable[[Any], Any]:
    def of(decision: Any) -> Any:
        need(isinstance(decision, Decision))
        return get(decision)

    return of


METHODS["allowed"], METHODS["reason"] = _decided(lambda decision: decision.allowed), _decided(lambda decision: decision.reason)
METHODS["errored"], METHODS["error"] = _decided(lambda decision: bool(decision.error)), _decided(lambda decision: decision.error)
