"""What a person calls a kind: the resource behind ``Deployment``, ``deployments``, ``deploy`` or ``deployments.apps``."""

from difflib import get_close_matches

from kubesim.apiserver.registry import Resource
from kubesim.cluster.front_door import Door
from kubesim.workload.manifests import Item, Problem


def resource_of(apiserver: Door, word: str) -> Resource:
    """The resource called ``word``, in any case; ValueError that names the nearest kinds when there is none."""
    found = apiserver.registry.by_name.get(word)
    if found is not None:
        return found
    lowered = word.lower()
    for resource in apiserver.registry.by_name.values():
        kind = resource.kind
        if lowered in (kind.plural, kind.singular, kind.resource, kind.kind.lower(), *kind.short_names):
            return resource
    known = {resource.kind.kind for resource in apiserver.registry.by_name.values()}
    raise ValueError(f"there is no kind called {word!r}; expected {_nearest(word, known)}")


def unknown_kind(apiserver: Door, item: Item) -> Problem:
    """The problem of an object whose kind is not served: a misspelt kind, or a kind in another apiVersion."""
    api_version, kind = item.object["apiVersion"], item.object["kind"]
    served = [each.api_version for each in apiserver.registry.by_name.values() if each.kind.kind == kind]
    if served:
        expected = " or ".join(f'"{version}"' for version in served)
        return item.problem("apiVersion", f'no kind "{kind}" in version "{api_version}"; expected {expected}')
    known = {each.kind.kind for each in apiserver.registry.by_name.values()}
    return item.problem("kind", f'no kind "{kind}" in version "{api_version}"; expected {_nearest(kind, known)}')


def _nearest(word: str, known: set[str]) -> str:
    close = get_close_matches(word, sorted(known), 3, 0.6)
    return " or ".join(close) if close else "a kind of Kubernetes v1.36 such as Deployment"
