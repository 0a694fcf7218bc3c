"""Role-based access: who may do what, decided from the stored roles and bindings.

The rules of a user are gathered once per state of the four resources and remembered; a decision walks the rules of the user's bindings and
stops at the first that allows. Upstream: plugin/pkg/auth/authorizer/rbac and pkg/registry/rbac (escalation).
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from kubesim.apiserver.server import ApiServer
from kubesim.server.apiserver.users import MASTERS, SERVICE_ACCOUNT_PREFIX, User

Object = dict[str, Any]
GROUP = "rbac.authorization.k8s.io"
ROLES, CLUSTER_ROLES = f"roles.{GROUP}", f"clusterroles.{GROUP}"
BINDINGS, CLUSTER_BINDINGS = f"rolebindings.{GROUP}", f"clusterrolebindings.{GROUP}"
RESOURCES = frozenset((ROLES, CLUSTER_ROLES, BINDINGS, CLUSTER_BINDINGS))


class Attributes(NamedTuple):
    """What is asked. A request for a path has ``is_resource`` False; ``resource`` is the plural, without group."""

    verb: str
    is_resource: bool = True
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""


class Decision(NamedTuple):
    """The answer, with upstream's reason and what went wrong on the way."""

    allowed: bool
    reason: str = ""
    error: str = ""
    is_denied: bool = False


class Grant(NamedTuple):
    """A binding that concerns a user: where it counts ("" everywhere), the rules, and how upstream names it."""

    namespace: str
    rules: Sequence[Object]
    reason: str
    error: str


class AlwaysAllow:
    """``--authorization-mode=AlwaysAllow``."""

    def decide(self, user: User, asked: Attributes) -> Decision:
        """Allow."""
        return Decision(True)

    def rules_of(self, user: User, namespace: str) -> tuple[list[Object], list[str]]:
        """Everything."""
        return [
            {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]},
            {"verbs": ["*"], "nonResourceURLs": ["*"]},
        ], []


class Rbac:
    """The authorizer over an apiserver's roles and bindings."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server
        self._grants: dict[tuple[str, tuple[str, ...]], list[Grant]] = {}
        server.audit.append(self._on_write)

    def _on_write(self, time_ns: int, request: Any, obj: Object, revision: int) -> None:
        if request.resource in RESOURCES:
            self._grants.clear()

    def decide(self, user: User, asked: Attributes) -> Decision:
        """Whether a user may do what is asked. O(rules of the user)."""
        if MASTERS in user.groups:
            return Decision(True)
        errors: list[str] = []
        for grant in self._grants_of(user):
            if grant.namespace and grant.namespace != asked.namespace:
                continue
            if grant.error:
                errors.append(grant.error)
            for rule in grant.rules:
                if allows(rule, asked):
                    return Decision(True, f"RBAC: allowed by {grant.reason}")
        return Decision(False, _reasons(errors))

    def rules_of(self, user: User, namespace: str) -> tuple[list[Object], list[str]]:
        """All rules of a user in a namespace, as the reviews list them, and the errors on the way."""
        rules: list[Object] = []
        errors: list[str] = []
        for grant in self._grants_of(user):
            if not grant.namespace or grant.namespace == namespace:
                rules.extend(grant.rules)
                if grant.error:
                    errors.append(grant.error)
        return rules, errors

    def _grants_of(self, user: User) -> list[Grant]:
        key = (user.name, user.groups)
        found = self._grants.get(key)
        if found is None:
            if len(self._grants) > 10_000:
                self._grants.clear()
            found = self._grants[key] = list(self._gather(user))
        return found

    def _gather(self, user: User) -> Iterator[Grant]:
        server = self._server
        for resource in (CLUSTER_BINDINGS, BINDINGS):
            for binding in server.peek_all(resource):
                subject = _subject_of(binding, user)
                if subject is None:
                    continue
                namespace = binding["metadata"].get("namespace", "")
                name = binding["metadata"]["name"]
                reference = binding["roleRef"]
                rules, error = self.role_rules(reference, namespace)
                what = f'RoleBinding "{name}/{namespace}"' if namespace else f'ClusterRoleBinding "{name}"'
                yield Grant(namespace, rules, f'{what} of {reference["kind"]} "{reference["name"]}" to {subject}', error)

    def role_rules(self, reference: Object, namespace: str) -> tuple[Sequence[Object], str]:
        """The rules of a role that a binding refers to, and an error when it is not there."""
        if reference["kind"] == "Role":
            role = self._server.peek(ROLES, namespace, reference["name"])
            word = "role"
        else:
            role = self._server.peek(CLUSTER_ROLES, "", reference["name"])
            word = "clusterrole"
        if role is None:
            return (), f'{word}.{GROUP} "{reference["name"]}" not found'
        return role.get("rules") or (), ""


def _reasons(errors: Sequence[str]) -> str:
    if not errors:
        return ""
    unique = list(dict.fromkeys(errors))
    return f"RBAC: {unique[0]}" if len(unique) == 1 else f"RBAC: [{', '.join(unique)}]"


def _subject_of(binding: Object, user: User) -> str | None:
    namespace = binding["metadata"].get("namespace", "")
    for subject in binding.get("subjects") or ():
        kind, name = subject.get("kind"), subject.get("name", "")
        if kind == "User" and name == user.name:
            return f'User "{name}"'
        if kind == "Group" and name in user.groups:
            return f'Group "{name}"'
        if kind == "ServiceAccount":
            home = subject.get("namespace") or namespace
            if user.name == f"{SERVICE_ACCOUNT_PREFIX}{home}:{name}":
                return f'ServiceAccount "{name}/{home}"'
    return None


def allows(rule: Object, asked: Attributes) -> bool:
    """Whether one rule allows what is asked."""
    verbs = rule.get("verbs") or ()
    if "*" not in verbs and asked.verb not in verbs:
        return False
    if not asked.is_resource:
        return any(_path_matches(path, asked.path) for path in rule.get("nonResourceURLs") or ())
    groups = rule.get("apiGroups") or ()
    if "*" not in groups and asked.group not in groups:
        return False
    whole = f"{asked.resource}/{asked.subresource}" if asked.subresource else asked.resource
    for resource in rule.get("resources") or ():
        if resource in ("*", whole) or (asked.subresource and resource == f"*/{asked.subresource}"):
            break
    else:
        return False
    names = rule.get("resourceNames") or ()
    return not names or asked.name in names


def _path_matches(pattern: str, path: str) -> bool:
    if pattern in ("*", path):
        return True
    return pattern.endswith("*") and path.startswith(pattern.rstrip("*"))


def forbidden_message(user: User, asked: Attributes, reason: str = "") -> str:
    """Upstream's sentence about a request that is not allowed, without the head that names the object."""
    if not asked.is_resource:
        text = f'User "{user.name}" cannot {asked.verb} path "{asked.path}"'
    else:
        resource = f"{asked.resource}/{asked.subresource}" if asked.subresource else asked.resource
        where = f'in the namespace "{asked.namespace}"' if asked.namespace else "at the cluster scope"
        text = f'User "{user.name}" cannot {asked.verb} resource "{resource}" in API group "{asked.group}" {where}'
    return f"{text}: {reason}" if reason else text


# -- escalation: nobody gives away more than they have --


def uncovered(owned: Sequence[Object], wanted: Sequence[Object]) -> list[Object]:
    """The elementary rules among ``wanted`` that ``owned`` does not cover."""
    return [piece for rule in wanted for piece in _pieces(rule) if not any(_covers(have, piece) for have in owned)]


def _pieces(rule: Object) -> Iterator[Object]:
    for group in rule.get("apiGroups") or ():
        for resource in rule.get("resources") or ():
            for verb in rule.get("verbs") or ():
                names = rule.get("resourceNames") or ()
                if not names:
                    yield {"apiGroups": [group], "resources": [resource], "verbs": [verb]}
                for name in names:
                    yield {"apiGroups": [group], "resources": [resource], "verbs": [verb], "resourceNames": [name]}
    for path in rule.get("nonResourceURLs") or ():
        for verb in rule.get("verbs") or ():
            yield {"nonResourceURLs": [path], "verbs": [verb]}


def _covers(have: Object, piece: Object) -> bool:
    verbs = have.get("verbs") or ()
    if "*" not in verbs and piece["verbs"][0] not in verbs:
        return False
    if "nonResourceURLs" in piece:
        path = piece["nonResourceURLs"][0]
        return any(url in ("*", path) or (url.endswith("*") and path.startswith(url[:-1])) for url in have.get("nonResourceURLs") or ())
    groups, resources = have.get("apiGroups") or (), have.get("resources") or ()
    if "*" not in groups and piece["apiGroups"][0] not in groups:
        return False
    resource = piece["resources"][0]
    _, _, subresource = resource.partition("/")
    if "*" not in resources and resource not in resources and not (subresource and f"*/{subresource}" in resources):
        return False
    names = have.get("resourceNames") or ()
    return not names or (bool(piece.get("resourceNames")) and piece["resourceNames"][0] in names)


def compact_text(pieces: Sequence[Object]) -> list[str]:
    """Rules as upstream shows them in a refusal: put together by resource, sorted."""
    merged: dict[tuple[str, ...], list[str]] = {}
    for piece in pieces:
        if "nonResourceURLs" in piece:
            key: tuple[str, ...] = ("url", *piece["nonResourceURLs"])
        else:
            key = ("resource", piece["apiGroups"][0], piece["resources"][0], *piece.get("resourceNames", ()))
        verbs = merged.setdefault(key, [])
        if piece["verbs"][0] not in verbs:
            verbs.append(piece["verbs"][0])
    lines = []
    for key, verbs in merged.items():
        shown = ", ".join(f'"{verb}"' for verb in verbs)
        if key[0] == "url":
            lines.append(f'{{NonResourceURLs:["{key[1]}"], Verbs:[{shown}]}}')
        else:
            names = f', ResourceNames:["{key[3]}"]' if len(key) > 3 else ""
            lines.append(f'{{APIGroups:["{key[1]}"], Resources:["{key[2]}"]{names}, Verbs:[{shown}]}}')
    return sorted(lines)
