"""The answers to ``authorizer`` in the expressions of policies and match conditions: the server's own authorizer, asked in its terms."""

from collections.abc import Callable, Mapping
from typing import Any

from kubesim.api.cel.authorizer import Decision
from kubesim.server.apiserver.rbac import AlwaysAllow, Attributes, Rbac
from kubesim.server.apiserver.users import User

FACTS = ("verb", "group", "resource", "subresource", "namespace", "name")


def decider(authorizer: Rbac | AlwaysAllow) -> Callable[[Mapping[str, Any], Mapping[str, str]], Decision]:
    """Who decides for expressions."""

    def decide(user: Mapping[str, Any], facts: Mapping[str, str]) -> Decision:
        who = User(user.get("username", ""), tuple(user.get("groups") or ()), user.get("uid", ""), user.get("extra") or {})
        if "path" in facts:
            asked = Attributes(facts.get("verb", ""), False, path=facts["path"])
        else:
            asked = Attributes(is_resource=True, **{name: facts.get(name, "") for name in FACTS})
        found = authorizer.decide(who, asked)
        return Decision(found.allowed, found.reason, found.error)

    return decide
