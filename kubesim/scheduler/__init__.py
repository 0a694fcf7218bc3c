"""The scheduler room: kube-scheduler as a library (``SchedulingEngine``) and in a cluster (``Scheduler``)."""

from kubesim.scheduler.engine import Decision, SchedulingEngine
from kubesim.scheduler.profile import PluginConfig, Profile, SchedulerConfig
from kubesim.scheduler.scheduler import Scheduler

__all__ = ["Decision", "PluginConfig", "Profile", "Scheduler", "SchedulerConfig", "SchedulingEngine"]
