"""``kubesim explain POD``: why a Pod is where it is, or nowhere: reasons and points of every node, in a cluster made for it."""

import time
from typing import Any

import click

from kubesim.cli.errors import BadInput

CONVERGENCE_TIMEOUT = "24h"
DEFAULT_NODES = 10


@click.command()
@click.argument("pod", metavar="POD")
@click.argument("manifests", nargs=-1, required=True, metavar="MANIFEST...")
@click.option("--nodes", type=int, metavar="N", help=f"Number of nodes, of 8 CPUs and 32 GiB each.  [default: {DEFAULT_NODES}]")
@click.option("--nodes-file", metavar="FILE", help="Nodes from a YAML or JSON file: Node objects, or {count: N, template: Node}.")
@click.option("--seed", type=int, default=0, show_default=True, metavar="S", help="Seed of everything that is random.")
@click.option("--until", default="converged", show_default=True, metavar="converged|DURATION", help='Explain then, for example "90s".')
@click.option("--top", type=int, default=5, show_default=True, metavar="N", help="Show the N best nodes; 0 shows all, rejected ones too.")
@click.option("--node", metavar="NAME", help="Why this node, in place of the one the Pod has or would get ...")
@click.option("--versus", metavar="NAME", help="... and not that one.")
@click.option("--json", "as_json", is_flag=True, help="Print everything about every node as JSON.")
def explain(
    pod: str,
    manifests: tuple[str, ...],
    nodes: int | None,
    nodes_file: str | None,
    seed: int,
    until: str,
    top: int,
    node: str | None,
    versus: str | None,
    as_json: bool,
) -> None:
    """Explain where the scheduler puts POD, pending or bound, in a cluster with the MANIFESTs applied.

    POD is "name" or "namespace/name", or the beginning of the name up to a dash: "web" is the first Pod of a Deployment web. A bound Pod is
    explained as if it came anew.

    \b
    Examples:
      kubesim explain web shop.yaml --nodes 5000
      kubesim explain shop/web shop.yaml --nodes-file nodes.yaml --node node-3 --versus node-7
    """
    from kubesim.cluster.cluster import Cluster, NotConverged
    from kubesim.cluster.config import duration_ns
    from kubesim.drive.session import steady_collector
    from kubesim.workload.manifests import ManifestError

    if nodes is not None and nodes_file is not None:
        raise BadInput("--nodes and --nodes-file are both given; expected one of them")
    if top < 0:
        raise BadInput(f"--top is {top}; expected 0 or more")
    try:
        run_ns = None if until == "converged" else duration_ns("--until", until)
        where: Any = nodes_file if nodes_file is not None else DEFAULT_NODES if nodes is None else nodes
        cluster = Cluster(where, seed, timeline_entries_max=0)
        for source in manifests:
            cluster.apply(source)
        if run_ns is None:
            cluster.run_until_converged(CONVERGENCE_TIMEOUT)
        else:
            cluster.run_for(run_ns)
        namespace, name = _find(cluster, pod)
        with steady_collector():  # no scan of the whole cluster in the middle of an answer
            started = time.perf_counter()
            found = cluster.explanation(name, namespace)
            answer = found.as_dict() if as_json else None
            seconds = time.perf_counter() - started
        sentence = _sentence(found, node, versus)
    except NotConverged as error:
        raise click.ClickException(str(error).splitlines()[0]) from error
    except (ManifestError, ValueError) as error:
        raise BadInput(str(error)) from error
    if answer is not None:
        _print_json(found, answer, sentence, seconds)
    else:
        click.echo("\n".join(_lines(found, top, sentence)))


def _find(cluster: Any, text: str) -> tuple[str, str]:
    """(namespace, name) of the Pod that is meant."""
    namespace, slash, name = text.rpartition("/")
    keys = sorted((obj["metadata"]["namespace"], obj["metadata"]["name"]) for obj in cluster.list("Pod"))
    mine = [key for key in keys if not slash or key[0] == namespace]
    for key in [key for key in mine if key[1] == name] + [key for key in mine if key[1].startswith(f"{name}-")]:
        return key
    known = ", ".join("/".join(key) for key in keys[:5]) + (", ..." if len(keys) > 5 else "")
    raise BadInput(f'there is no Pod "{text}"; expected one of {known or "none: the cluster has no Pods"}')


def _sentence(found: Any, node: str | None, versus: str | None) -> str:
    """Why this node and not that one; by default the Pod's node against the best other one."""
    best = [name for name, _, _ in found.top(2)]
    mine = node or found.bound_to or (best[0] if best else "")
    other = versus or next((name for name in best if name != mine), "")
    return found.why(mine, other) if mine and other else ""


def _lines(found: Any, top: int, sentence: str) -> list[str]:
    state = f"bound to {found.bound_to}" if found.bound_to else "pending"
    lines = [f"Pod {found.pod}, {state}: {found.feasible_count:,} nodes can take it"]
    if found.message:
        lines.append(f"  {found.message}")
    if sentence:
        lines.append(f"  {sentence}")
    rows = found.top(top or found.feasible_count)
    if rows:
        width = max(len(name) for name, _, _ in rows)
        lines.append("best nodes:" if top else "nodes:")
        lines += [f"  {name.ljust(width)}  {total:5}  " + ", ".join(f"{p} {n}" for p, n in points.items()) for name, total, points in rows]
    if top:
        reasons = [f"  {count:,} by {plugin}: {', '.join(rejection.reasons)}" for plugin, rejection, count in found.rejections()]
    else:
        reasons = [f"  {name} by {plugin}: {', '.join(rejection.reasons)}" for name, plugin, rejection in found.rejected()]
    return [*lines, *(["rejected:", *reasons] if reasons else [])]


def _print_json(found: Any, answer: dict[str, Any], sentence: str, seconds: float) -> None:
    import orjson

    rejected = {
        name: {"plugin": plugin, "code": rejection.code, "reasons": rejection.reasons}
        for name, (plugin, rejection) in answer["rejected"].items()
    }
    head = {"pod": found.pod, "node": found.bound_to, "message": found.message, "why": sentence, "seconds": round(seconds, 6)}
    click.echo(orjson.dumps({**head, **answer, "rejected": rejected}, option=orjson.OPT_INDENT_2).decode())
