"""Workloads of the scheduler alone, modelled on scheduler_perf: files of test cases, and the run of one of them."""

from kubesim.workload.scheduling.cases import Case, Workload, read_cases, shipped
from kubesim.workload.scheduling.run import Outcome, run

__all__ = ["Case", "Outcome", "Workload", "read_cases", "run", "shipped"]
