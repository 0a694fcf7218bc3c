"""``kubesim run``: a cluster, manifests or generated Pods, until it has converged or for a time; then what happened.

The only subcommand's option parsing and order of steps; what is printed is in ``output``, progress in ``progress``.
"""

import resource
import sys
import time
from pathlib import Path
from typing import Any

import click

from kubesim.cli.errors import BadInput, Interrupted
from kubesim.cli.progress import Progress

FLOW_REPLICAS = 2
CONVERGENCE_TIMEOUT = "24h"
DEFAULT_NODES = 10


@click.command()
@click.argument("manifests", nargs=-1, metavar="[MANIFEST]...")
@click.option("--nodes", type=int, metavar="N", help=f"Number of nodes, of 8 CPUs and 32 GiB each.  [default: {DEFAULT_NODES}]")
@click.option("--nodes-file", metavar="FILE", help="Nodes from a YAML or JSON file: Node objects, or {count: N, template: Node}.")
@click.option("--pods", type=int, metavar="N", help="Generate Deployments with N Pods in all.")
@click.option(
    "--control-planes", type=int, default=1, show_default=True, metavar="N", help="Masters; more than 1 are behind a load balancer."
)
@click.option("--etcd-members", type=int, default=0, metavar="N", help="Members of an external etcd; 0: one on each master.")
@click.option("--seed", type=int, default=0, show_default=True, metavar="S", help="Seed of everything that is random.")
@click.option("--until", default="converged", show_default=True, metavar="converged|DURATION", help='Run until then, for example "90s".')
@click.option("--flow", is_flag=True, help="Print the path of one Deployment, step by step; without a MANIFEST, of a small one.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option("--scheduler-config", metavar="FILE", help="A KubeSchedulerConfiguration: profiles, plugins, weights, arguments.")
@click.option("--faults", metavar="FILE", help="A FaultScenario: what fails, when and for how long (docs/faults.md).")
@click.option("--report", metavar="FILE", help="Write a report; the name ends in .html or .md.")
def run(
    manifests: tuple[str, ...],
    nodes: int | None,
    nodes_file: str | None,
    pods: int | None,
    control_planes: int,
    etcd_members: int,
    seed: int,
    until: str,
    flow: bool,
    as_json: bool,
    scheduler_config: str | None,
    faults: str | None,
    report: str | None,
) -> None:
    """Apply manifests to a new cluster and run it in virtual time.

    A MANIFEST is a YAML or JSON file, a directory of them, or "-" for standard input. It is checked as a whole before anything of it is
    applied.

    \b
    Examples:
      kubesim run --flow
      kubesim run shop.yaml --nodes 10 --json
      kubesim run --control-planes 3 --flow
      kubesim run --nodes 1000 --pods 10000 --report report.html
      kubesim run shop.yaml --nodes-file nodes.yaml --until 90s
      kubesim run shop.yaml --faults examples/faults.yaml
    """
    started = time.perf_counter()
    duration_ns = _until(until)
    _check(manifests, nodes, nodes_file, pods, flow, report)
    from kubesim.cluster.cluster import Cluster
    from kubesim.drive.http_door import post_json
    from kubesim.workload.manifests import ManifestError

    try:
        where: Any = nodes_file if nodes_file is not None else DEFAULT_NODES if nodes is None else nodes
        masters: dict[str, Any] = {"control_planes": control_planes, "etcd_members": etcd_members}
        cluster = Cluster(where, seed, timeline_entries_max=0, scheduler_config=scheduler_config, scheduler_door=post_json, **masters)
        follower = cluster.follow() if flow else None
        if faults is not None:
            cluster.inject_file(faults)
        _apply(cluster, manifests, pods, flow)
    except (ManifestError, ValueError) as error:
        raise BadInput(str(error)) from error
    for warning in cluster.warnings:
        click.echo(f"kubesim: warning: {warning}", err=True)
    if follower is not None and follower.name == "":
        raise BadInput("--flow follows a Deployment, and the manifests have none; expected one, or no MANIFEST")
    unfinished = _run(cluster, duration_ns)
    result = _result(cluster, time.perf_counter() - started)
    _print(result, follower, as_json, unfinished)
    if report is not None:
        _write_report(report, result, follower)


def _until(text: str) -> int | None:
    """The duration that ``--until`` names, None for ``converged``."""
    from kubesim.cluster.config import duration_ns

    if text == "converged":
        return None
    try:
        return duration_ns("--until", text)
    except ValueError:
        raise BadInput(f'--until is "{text}"; expected "converged" or a duration such as "90s" or "1h30m"') from None


def _check(
    manifests: tuple[str, ...], nodes: int | None, nodes_file: str | None, pods: int | None, flow: bool, report: str | None
) -> None:
    if nodes is not None and nodes_file is not None:
        raise BadInput("--nodes and --nodes-file are both given; expected one of them")
    if pods is not None and pods < 0:
        raise BadInput(f"--pods is {pods}; expected 0 or more")
    if nodes is not None and nodes < 0:
        raise BadInput(f"--nodes is {nodes}; expected 0 or more")
    if not manifests and pods is None and not flow:
        raise BadInput("nothing to run; expected a MANIFEST, --pods N or --flow")
    if report is not None and Path(report).suffix not in (".html", ".md"):
        raise BadInput(f'--report is "{report}"; expected a file name that ends in .html or .md')
    if report is not None and not Path(report).resolve().parent.is_dir():
        raise BadInput(f'--report is "{report}"; expected a file in a directory that exists')



def _apply(cluster: Any, manifests: tuple[str, ...], pods: int | None, flow: bool) -> None:
    from kubesim.workload import generators
    from kubesim.workload.manifests import parse

    for source in manifests:
        if source == "-":
            cluster.apply_manifest(parse(sys.stdin.read(), "<stdin>"))
        else:
            cluster.apply(source)
    if pods:
        cluster.apply(generators.deployments(pods, cluster.config.nodes, cluster.kernel.rng("workload")))
    if flow and not manifests and not pods:
        cluster.apply([generators.deployment("hello", FLOW_REPLICAS, "docker.io/library/nginx:1.27", {"cpu": "100m", "memory": "64Mi"})])


def _run(cluster: Any, duration_ns: int | None) -> str:
    """Run; returns what was not reached, as a sentence."""
    from kubesim.cluster.cluster import NotConverged
    from kubesim.kernel.time import format_duration

    with Progress(cluster) as progress:
        try:
            if duration_ns is not None:
                cluster.run_for(duration_ns, progress=progress.update)
                return ""
            cluster.run_until_converged(CONVERGENCE_TIMEOUT, progress=progress.update)
        except NotConverged as error:
            return str(error).splitlines()[0]
        except KeyboardInterrupt:
            passed = format_duration(cluster.kernel.now_ns - cluster.start_ns)
            raise Interrupted(f"interrupted after {passed} of virtual time, {cluster.metrics.running_count} Pods had started") from None
    return ""


def _result(cluster: Any, wall_seconds: float) -> dict[str, Any]:
    """The summary with what only this process can know: wall time and memory."""
    running = cluster.metrics.running_count
    summary = cluster.summary()
    if "faults" in vars(cluster):
        summary["faults"] = cluster.faults.counts()
    return {
        "digest": summary.pop("digest"),
        "wall_seconds": round(wall_seconds, 3),
        "pods_per_second": round(running / wall_seconds, 1) if wall_seconds else 0.0,
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024),
        **summary,
    }


def _print(result: dict[str, Any], follower: Any, as_json: bool, unfinished: str) -> None:
    from kubesim.cli import output

    if unfinished:
        click.echo(f"kubesim: {unfinished}", err=True)
    if as_json:
        import orjson

        if follower is not None:
            result["flow"] = [step.as_dict() for step in follower.steps]
        click.echo(orjson.dumps(result, option=orjson.OPT_INDENT_2).decode())
        return
    if follower is not None:
        output.print_flow(follower)
    output.print_summary(result)


def _write_report(path: str, result: dict[str, Any], follower: Any) -> None:
    from kubesim.observe.report import render

    try:
        Path(path).write_text(render(result, Path(path).suffix[1:], follower.steps if follower else ()), encoding="utf-8")
    except OSError as error:
        raise click.FileError(path, error.strerror or "cannot be written") from error
