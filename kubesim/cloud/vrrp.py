"""Who holds a virtual address: VRRP version 3 (RFC 5798) as keepalived runs it, one instance per balancer. Pure: told the time and what it
hears, it says what to send and when to look again.

The master advertises every ``interval_ns``. A backup that hears nothing for three intervals and its skew, (256 - priority) / 256 of an
interval, takes the address: the higher the priority, the sooner. A master that hears a higher priority steps back; a backup that hears a
lower one ignores it and takes over, unless ``preempt`` is off. Priority 0 is the farewell of a master that stops: only the skew is waited.
"""

from dataclasses import dataclass

from kubesim.kernel.time import SECOND

BACKUP, MASTER = "backup", "master"
PRIORITY_MAX = 254


@dataclass(frozen=True, slots=True)
class VrrpSettings:
    """One balancer's part; the higher ``priority`` wins."""

    priority: int = 100
    interval_ns: int = SECOND
    preempt: bool = True

    def __post_init__(self) -> None:
        """Raise ValueError, naming the field."""
        if not 1 <= self.priority <= PRIORITY_MAX:
            raise ValueError(f"priority is {self.priority}; expected 1 to {PRIORITY_MAX}")
        if self.interval_ns < 1:
            raise ValueError(f"interval_ns is {self.interval_ns}; expected at least 1")

    @property
    def skew_ns(self) -> int:
        """How much longer than three intervals this one waits."""
        return (256 - self.priority) * self.interval_ns // 256

    @property
    def down_ns(self) -> int:
        """How long a silent master is believed in."""
        return 3 * self.interval_ns + self.skew_ns


class Vrrp:
    """One instance. ``deadline_ns`` is when ``expire`` is to be called.

    >>> backup = Vrrp(VrrpSettings(priority=100), now_ns=0)
    >>> backup.state, backup.deadline_ns
    ('backup', 3609375000)
    >>> backup.expire(backup.deadline_ns), backup.state
    (True, 'master')
    """

    __slots__ = ("deadline_ns", "settings", "state")

    def __init__(self, settings: VrrpSettings, now_ns: int) -> None:
        self.settings = settings
        self.state = BACKUP
        self.deadline_ns = now_ns + settings.down_ns

    @property
    def is_master(self) -> bool:
        """Whether it holds the address."""
        return self.state == MASTER

    def expire(self, now_ns: int) -> bool:
        """Its time has come: whether to advertise. A backup becomes master by it."""
        if now_ns < self.deadline_ns:
            return False
        self.state = MASTER
        self.deadline_ns = now_ns + self.settings.interval_ns
        return True

    def hear(self, priority: int, is_greater: bool, now_ns: int) -> bool:
        """Take an advertisement; whether to answer with one's own. ``is_greater``: the sender's address wins between equals."""
        settings = self.settings
        if self.state == MASTER:
            if priority == 0:
                self.deadline_ns = now_ns + settings.interval_ns
                return True
            if priority > settings.priority or (priority == settings.priority and is_greater):
                self.state = BACKUP
                self.deadline_ns = now_ns + settings.down_ns
            return False
        if priority == 0:
            self.deadline_ns = now_ns + settings.skew_ns
        elif not settings.preempt or priority >= settings.priority:
            self.deadline_ns = now_ns + settings.down_ns
        return False
