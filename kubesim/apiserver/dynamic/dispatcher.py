"""The dispatcher: what is configured, compiled once per change, and the two generators that verbs run through it.

``is_on`` is the only thing that a verb asks while nothing is configured. ``mutate`` gives the object that the mutating ones make of a wish,
``validate`` raises what the validating ones refuse; both yield questions to webhooks.

Upstream: pkg/kubeapiserver/options/plugins.go (the order), apiserver/pkg/admission/reinvocation.go.
"""

from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any

from kubesim.api import schema
from kubesim.api.cel.authorizer import Authorizer, Decision
from kubesim.apiserver.dynamic import mutating, validating, webhooks
from kubesim.apiserver.dynamic.expressions import bindings_of
from kubesim.apiserver.dynamic.invocations import Invocation, Policy, compiled, invocations
from kubesim.apiserver.dynamic.operation import DELETE, Operation, user_of
from kubesim.apiserver.registry import CONFIGURED

if TYPE_CHECKING:
    from kubesim.apiserver.server import ApiServer

Object = dict[str, Any]
GROUP = "admissionregistration.k8s.io"
VALIDATING_POLICIES, VALIDATING_BINDINGS = f"validatingadmissionpolicies.{GROUP}", f"validatingadmissionpolicybindings.{GROUP}"
MUTATING_POLICIES, MUTATING_BINDINGS = f"mutatingadmissionpolicies.{GROUP}", f"mutatingadmissionpolicybindings.{GROUP}"
VALIDATING_HOOKS, MUTATING_HOOKS = f"validatingwebhookconfigurations.{GROUP}", f"mutatingwebhookconfigurations.{GROUP}"
NAMESPACE_FIELDS = ("metadata", "spec", "status")
Versions = Callable[[str], Sequence[str]]


class Dynamic:
    """The configured admission of one server. ``versions_of`` tells the versions in which a custom resource is served."""

    def __init__(self, server: "ApiServer", versions_of: Versions) -> None:
        self._server = server
        self._versions_of = versions_of
        self._uids = server.kernel.rng(f"{server.name}/admission-review")
        self.is_on = False
        self.decide: Callable[..., Decision] = lambda user, facts: Decision(True)  # the door's authorizer, where there is one
        self._is_stale = True
        self._validating: tuple[Policy, ...] = ()
        self._mutating: tuple[Policy, ...] = ()
        self._validating_hooks: tuple[webhooks.Hook, ...] = ()
        self._mutating_hooks: tuple[webhooks.Hook, ...] = ()

    def changed(self) -> None:
        """Something that configures admission was written, or may have been."""
        self._is_stale = True
        self.is_on = True

    def _refresh(self) -> None:
        """Compile what is configured. O(configuration)."""
        self._is_stale = False
        every = self._server.peek_all
        self._validating = compiled(every(VALIDATING_POLICIES), every(VALIDATING_BINDINGS), validating.validations_of)
        self._mutating = compiled(every(MUTATING_POLICIES), every(MUTATING_BINDINGS), mutating.mutations_of)
        self._validating_hooks = webhooks.hooks_of(every(VALIDATING_HOOKS), False)
        self._mutating_hooks = webhooks.hooks_of(every(MUTATING_HOOKS), True)
        self.is_on = bool(self._validating or self._mutating or self._validating_hooks or self._mutating_hooks)

    # -- the two questions --

    def mutate(self, operation: Operation, builtin: Callable[[Object], Object] | None = None) -> Generator[Any, Any, Object]:
        """The object after policies and hooks; asked again where their own changes, or those of ``builtin`` plugins, make it due.

        Raises the ApiError of the first that refuses.
        """
        if self._is_stale:
            self._refresh()
        if operation.resource.name not in CONFIGURED and (self._mutating or self._mutating_hooks):
            rounds, hook_rounds = mutating.Rounds(), mutating.Rounds()
            is_changed = yield from self._mutate_once(operation, rounds, hook_rounds, False)
            if is_changed and operation.obj is not None:
                after = operation.obj
                if builtin is not None:
                    operation.obj = builtin(operation.obj)
                if operation.obj != after:
                    rounds.changed()
                    hook_rounds.changed()
                yield from self._mutate_once(operation, rounds, hook_rounds, True)
        obj: Object = operation.obj
        return obj

    def validate(self, operation: Operation) -> Generator[Any, Any, None]:
        """Ask the validating policies and hooks. Raises the ApiError of the first that refuses."""
        if self._is_stale:
            self._refresh()
        if operation.resource.name in CONFIGURED:
            return
        versions = self._versions(operation)
        if self._validating:
            found = invocations(self._server, self._validating, operation, versions)
            validating.validate(operation, found, lambda invocation: self._bind(operation, invocation))
        for hook in self._validating_hooks:
            version = self._concerned(hook, operation, versions)
            if version:
                yield from webhooks.call(hook, operation, version, self._uids.uuid())
        self._note(operation)

    def delete(self, operation: Operation) -> Generator[Any, Any, None]:
        """Ask all of them about a deletion, which nobody can change."""
        yield from self.mutate(operation)
        yield from self.validate(operation)

    # -- how --

    def _mutate_once(
        self, operation: Operation, rounds: mutating.Rounds, hook_rounds: mutating.Rounds, is_again: bool
    ) -> Generator[Any, Any, bool]:
        versions, is_changed = self._versions(operation), False
        kind = operation.resource.kind

        def complete(obj: Object) -> Object:
            return kind.default(schema.clean(obj, kind.schema))

        if self._mutating:
            found = invocations(self._server, self._mutating, operation, versions)
            is_changed = mutating.mutate(operation, found, lambda each: self._bind(operation, each), complete, rounds, is_again)
            if is_changed:
                hook_rounds.changed()
        for hook in self._mutating_hooks:
            if is_again and hook.identity not in hook_rounds.again:
                continue
            version = self._concerned(hook, operation, versions)
            if not version:
                continue
            verdict = yield from webhooks.call(hook, operation, version, self._uids.uuid())
            if verdict is not None and verdict.patch:
                before = operation.obj
                stored = before["apiVersion"] if before is not None else ""
                patched = webhooks.patched(hook, operation.shown(before, version), verdict.patch)
                operation.obj = complete({**patched, "apiVersion": stored})
                if operation.obj != before:
                    is_changed = True
                    hook_rounds.changed()
                    rounds.changed()
            if hook.given.get("reinvocationPolicy") == "IfNeeded":
                hook_rounds.invoked.add(hook.identity)
        return is_changed

    def _versions(self, operation: Operation) -> Sequence[str]:
        """The versions of the resource, that of the request first."""
        kind = operation.resource.kind
        if not kind.is_custom:
            return (kind.version,)
        return (kind.version, *(each for each in self._versions_of(kind.resource) if each != kind.version))

    def _concerned(self, hook: webhooks.Hook, operation: Operation, versions: Sequence[str]) -> str:
        def bind(version: str) -> Object:
            return bindings_of(
                operation.shown(operation.obj, version), operation.shown(operation.old, version), operation.admission_request(version),
                authorizer=self._authorizer(operation),
            )  # fmt: skip

        return webhooks.concerned(hook, operation, versions, self._namespace, bind)

    def _namespace(self, name: str) -> Object | None:
        return self._server.peek("namespaces", "", name)

    def _bind(self, operation: Operation, invocation: Invocation) -> Object:
        version = invocation.version
        namespace = self._namespace(operation.namespace) if operation.namespace and not operation.is_namespace else None
        return bindings_of(
            operation.shown(operation.obj, version), operation.shown(operation.old, version), operation.admission_request(version),
            params=invocation.params, namespace=namespace and _plain(namespace), authorizer=self._authorizer(operation),
            variables=invocation.policy.variables,
        )  # fmt: skip

    def _authorizer(self, operation: Operation) -> Authorizer:
        kind = operation.resource.kind
        facts = {
            "group": kind.group, "resource": kind.plural, "subresource": operation.subresource, "namespace": operation.namespace,
            "name": operation.name,
        }  # fmt: skip
        return Authorizer(self.decide, user_of(operation.request), facts)

    def _note(self, operation: Operation) -> None:
        notes = operation.request.options.get("annotations")
        if notes is not None:
            notes.update(operation.annotations)


def _plain(namespace: Object) -> Object:
    """A Namespace as expressions see it: without the records of field managers."""
    metadata = {key: value for key, value in namespace["metadata"].items() if key not in ("managedFields", "ownerReferences")}
    return {**{key: namespace[key] for key in NAMESPACE_FIELDS if key in namespace}, "metadata": metadata}


__all__ = ["DELETE", "Dynamic", "Operation"]
