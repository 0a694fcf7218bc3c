"""The kinds of the API: ``KINDS`` is the registry of all built-in ones."""

from kubesim.api.kinds.registry import KindRegistry, built_in_kinds

KINDS: KindRegistry = built_in_kinds()
__all__ = ["KINDS", "KindRegistry"]
