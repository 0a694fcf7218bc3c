"""A wake-up: many reasons to do something become one call of it.

Whoever has news calls ``set()``; the function runs once for all of them, and then not before the next ``set()``. Every informer, queue and
watch has one, so it is compiled, beside the agenda that it asks.
"""

from kubesim._core.agenda import Wakeup

__all__ = ["Wakeup"]
