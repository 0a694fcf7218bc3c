"""Remember the result of a pure function by the identity of its argument.

Objects of the API are read-only once sent, and ten thousand Pods of one template share one ``containers`` list; what was computed
for it once holds for all of them. The memo keeps a strong reference to every key object, so an identity cannot be reused
while it is remembered. It is bounded: the oldest entry goes first, whatever its address, so results never depend on addresses.
It is compiled: ``kubesim/_core/memo.pyx``.
"""

from kubesim._core.memo import IdentityMemo

__all__ = ["IdentityMemo"]
