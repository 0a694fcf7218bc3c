"""Known bugs as switches: each replaces one function by what it was before somebody found out.

The properties must find every one of them and be silent without. Origins: issues of etcd (``etcd-<number>``), Raft's paper, and the T
rows of the robustness tests. ``raft``, ``members`` and ``watches`` hold them, by where they are.
"""

from kubesim.testing.etcd.bugs.members import MEMBER_BUGS
from kubesim.testing.etcd.bugs.raft import RAFT_BUGS
from kubesim.testing.etcd.bugs.switch import Bug
from kubesim.testing.etcd.bugs.watches import WATCH_BUGS

BUGS: tuple[Bug, ...] = (*RAFT_BUGS, *MEMBER_BUGS, *WATCH_BUGS)

__all__ = ["BUGS", "Bug"]
