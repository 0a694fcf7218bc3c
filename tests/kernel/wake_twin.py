"""The plain twin of ``Wakeup``: many reasons to do something become one call of it.

Whoever has news calls ``set()``; the function runs once for all of them, and then not before the next ``set()``.
"""

from collections.abc import Callable

from kubesim.kernel.loop import PRIORITY_NORMAL, Kernel


class Wakeup:
    """A call of ``function()`` that is pending once or not at all; it comes ``delay_ns`` after the first ``set()``.

    >>> kernel = Kernel()
    >>> wakeup = Wakeup(kernel, lambda: print("awake"))
    >>> wakeup.set(); wakeup.set()
    >>> kernel.drain()
    awake
    1
    """

    __slots__ = ("_after", "_cancel", "_handle", "delay_ns", "function", "priority")

    def __init__(self, kernel: Kernel, function: Callable[[], object], delay_ns: int = 0, priority: int = PRIORITY_NORMAL) -> None:
        self._after = kernel.after
        self._cancel = kernel.cancel
        self._handle = 0
        self.function = function
        self.delay_ns = delay_ns
        self.priority = priority

    @property
    def is_set(self) -> bool:
        """Whether a call is pending."""
        return self._handle != 0

    def set(self) -> None:
        """Have the function called; does nothing while a call is pending. O(log n) the first time, then O(1)."""
        if not self._handle:
            self._handle = self._after(self.delay_ns, self._fire, priority=self.priority)

    def cancel(self) -> None:
        """Take the pending call back, if there is one."""
        if self._handle:
            self._cancel(self._handle)
            self._handle = 0

    def _fire(self) -> None:
        # Cleared first: a set() from inside the function is news that it has not seen.
        self._handle = 0
        self.function()
