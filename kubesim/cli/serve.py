"""``kubesim serve``: a whole cluster behind a real API server, in real time or faster. What cannot be is one sentence, and exit status
2."""

import sys
from collections.abc import Callable
from typing import Any

import click

from kubesim.cli.main import EXIT_BAD_INPUT
from kubesim.server.apiserver.flags import BadFlags, Flags

DEFAULTS = Flags()
Command = Callable[..., Any]


def _flag(name: str, help_text: str) -> Callable[[Command], Command]:
    default = getattr(DEFAULTS, name.replace("-", "_"))
    if isinstance(default, bool):
        return click.option(f"--{name}", type=bool, is_flag=False, flag_value=True, default=default, show_default=True, help=help_text)
    return click.option(f"--{name}", type=type(default), default=default, show_default=default != "", help=help_text)


@click.command("serve", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("manifests", nargs=-1)
@_flag("nodes", "How many nodes, or a file of Nodes.")
@_flag("time", "real, or stepped: the clock stands until POST /kubesim/advance moves it.")
@_flag("time-scale", "Virtual seconds per real second.")
@_flag("bind-address", "Where to listen.")
@_flag("port", "The TLS port; 0 takes any free one.")
@_flag("kubeconfig", "Where to write the kubeconfig; in the data directory if not given.")
@_flag("data-dir", "Keep everything here, so that a restart brings it back.")
@_flag("components", "What runs.")
@_flag("controllers", "Which controllers run: names, * for all, -NAME for none of this name.")
@_flag("disable-admission-plugins", "Admission plugins that do not run.")
@_flag("enable-admission-plugins", "Accepted for upstream's command lines; all that are known run by default.")
@_flag("authorization-mode", "RBAC or AlwaysAllow.")
@_flag("anonymous-auth", "Whether requests without credentials are somebody.")
@_flag("allow-privileged", "Whether containers may be privileged; true by default where kubelets run.")
@_flag("token-auth-file", 'A CSV file of tokens: token,user,uid,"group1,group2".')
@_flag("client-ca-file", "Whom to trust for client certificates, beside this server's own authority.")
@_flag("audit-log-path", "Where requests are logged by the audit policy; - is standard output.")
@_flag("audit-policy-file", "Which requests are logged, and how much of them; without it none is.")
@_flag("service-cluster-ip-range", "The addresses of Services.")
@_flag("etcd-compaction-interval", "How often old versions are forgotten; 0 never.")
@_flag("advertise-address", "The server's address inside of the simulated network.")
@_flag("advertise-port", "The server's port inside of the simulated network.")
@_flag("service-account-issuer", "Who issues the tokens of service accounts.")
@_flag("etcd-servers", "Where an etcd listens that keeps everything, with commas: http://127.0.0.1:2379. In this process if not given.")
@_flag("etcd-cafile", "Whom to trust for etcd's certificates.")
@_flag("etcd-certfile", "The certificate to show to etcd.")
@_flag("etcd-keyfile", "Its key.")
@_flag("api-faults", "A YAML file of faults that befall requests and watches (docs/testing.md).")
@_flag("cert-dir", "Where certificates and keys are kept or made; pki in the data directory if not given.")
@_flag("seed", "Decides everything that is random.")
def serve(manifests: tuple[str, ...], **given: Any) -> None:
    """Serve the Kubernetes API for a simulated cluster; MANIFESTS are applied at the start.

    \b
    Example:
      kubesim serve --nodes 100 --kubeconfig cluster.kubeconfig
      kubectl --kubeconfig cluster.kubeconfig get nodes
    """
    try:
        from kubesim.server.apiserver.process import CannotStart, run
    except ImportError as error:
        print(f"kubesim serve needs the package {error.name}; install kubesim[server]", file=sys.stderr)
        raise SystemExit(EXIT_BAD_INPUT) from None
    try:
        run(Flags(**given), manifests)
    except (BadFlags, CannotStart) as error:
        for line in str(error).splitlines():
            print(f"kubesim serve: {line}", file=sys.stderr)
        raise SystemExit(EXIT_BAD_INPUT) from None
