"""Patches: JSON patch (RFC 6902), merge patch (RFC 7386) and Kubernetes' strategic merge patch.

Each takes an object and a decoded patch, writes into neither, and returns the patched object; parts that do not change are shared.
Errors are the ``ApiError`` that a v1.36 server answers with.
"""

from kubesim.api.patch.json_patch import PatchFailed, apply_json_patch, apply_operations
from kubesim.api.patch.merge import apply_merge_patch
from kubesim.api.patch.strategic import apply_strategic_patch

__all__ = ["PatchFailed", "apply_json_patch", "apply_merge_patch", "apply_operations", "apply_strategic_patch"]
