"""The scheduler room: kube-scheduler as a library (``SchedulingEngine``) and in a cluster (``Scheduler``)."""

from kubesim.scheduler.contract import Plugin
from kubesim.scheduler.engine import Decision, SchedulingEngine
from kubesim.scheduler.profile import PluginConfig, Profile, SchedulerConfig
from kubesim.scheduler.scalar_plugin import NodeView, ScalarPlugin
from kubesim.scheduler.scheduler import Scheduler

__all__ = [
    "Decision",
    "NodeView",
    "Plugin",
    "PluginConfig",
    "Profile",
    "ScalarPlugin",
    "Scheduler",
    "SchedulerConfig",
    "SchedulingEngine",
]
