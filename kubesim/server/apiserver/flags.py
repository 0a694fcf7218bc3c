"""The flags of ``kubesim serve`` as one record, checked. Those that upstream has keep upstream's names and meanings."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import yaml

from kubesim.apiserver.admission import SERVE_PROFILE
from kubesim.kernel.time import MINUTE, SECOND, parse_duration
from kubesim.server.apiserver.faults import Fault, read_faults
from kubesim.server.etcd.client import BadEndpoint, Endpoint, read_endpoints

COMPONENTS = ("apiserver", "controller-manager", "scheduler", "kubelet")
TIMES = ("real", "stepped")
AUTHORIZATION_MODES = ("RBAC", "AlwaysAllow", "Node", "AlwaysDeny")


class BadFlags(Exception):
    """Flags that cannot be; the message names flag, value and expectation."""


@dataclass(slots=True)
class Flags:
    """What a server is to be like."""

    nodes: str = "10"
    time: str = "real"
    time_scale: float = 1.0
    bind_address: str = "127.0.0.1"
    port: int = 6443
    kubeconfig: str = ""
    data_dir: str = ""
    components: str = ",".join(COMPONENTS)
    controllers: str = "*"
    disable_admission_plugins: str = ""
    enable_admission_plugins: str = ""
    authorization_mode: str = "RBAC"
    anonymous_auth: bool = True
    allow_privileged: str = ""
    token_auth_file: str = ""
    client_ca_file: str = ""
    audit_log_path: str = ""
    audit_policy_file: str = ""
    service_cluster_ip_range: str = "10.96.0.0/16"
    etcd_compaction_interval: str = "5m"
    advertise_address: str = "192.0.2.10"
    advertise_port: int = 26443
    service_account_issuer: str = "https://kubernetes.default.svc"
    api_faults: str = ""
    etcd_servers: str = ""
    etcd_cafile: str = ""
    etcd_certfile: str = ""
    etcd_keyfile: str = ""
    cert_dir: str = ""
    seed: int = 0

    def check(self) -> None:
        """Raise BadFlags for the first flag that cannot be."""
        if self.time not in TIMES:
            raise BadFlags(f"--time is {self.time!r}; expected one of {', '.join(TIMES)}")
        if not 0 < self.time_scale < float("inf"):
            raise BadFlags(f"--time-scale is {self.time_scale}; expected a number above 0: virtual seconds per real second")
        if not 0 <= self.port <= 65535:
            raise BadFlags(f"--port is {self.port}; expected a number from 0 (any free one) to 65535")
        self.chosen_components()
        self._check_etcd()
        self.compaction_ns()
        self.profile()
        self.allows_privileged()
        modes = self.authorization_mode.split(",")
        unknown = [mode for mode in modes if mode not in AUTHORIZATION_MODES]
        if unknown:
            raise BadFlags(f"--authorization-mode has {unknown[0]!r}; expected one of {', '.join(AUTHORIZATION_MODES)}")

    def _check_etcd(self) -> None:
        if not self.etcd_servers:
            for name in ("cafile", "certfile", "keyfile"):
                if getattr(self, f"etcd_{name}"):
                    raise BadFlags(f"--etcd-{name} is {getattr(self, f'etcd_{name}')!r}; expected --etcd-servers beside it")
            return
        try:
            self.endpoints()
        except BadEndpoint as error:
            raise BadFlags(f"--etcd-servers has {error}") from None
        if self.data_dir:
            raise BadFlags(f"--data-dir is {self.data_dir!r}; expected none with --etcd-servers, which is where everything is kept")
        if self.time == "stepped":
            raise BadFlags("--time is 'stepped'; expected real with --etcd-servers, whose clock does not stand")
        if bool(self.etcd_certfile) != bool(self.etcd_keyfile):
            raise BadFlags("--etcd-certfile and --etcd-keyfile go together; expected both or none")

    def endpoints(self) -> list[Endpoint]:
        """The members of ``--etcd-servers``. Raises BadEndpoint."""
        return read_endpoints(self.etcd_servers)

    def faults(self) -> list[Fault]:
        """The faults of ``--api-faults``. Raises BadFlags."""
        if not self.api_faults:
            return []
        try:
            return read_faults(yaml.safe_load(Path(self.api_faults).read_text()))
        except OSError as error:
            raise BadFlags(f"--api-faults {self.api_faults}: {error.strerror}") from None
        except yaml.YAMLError as error:
            raise BadFlags(f"--api-faults {self.api_faults}: {' '.join(str(error).split())}") from None
        except (ValueError, TypeError) as error:
            raise BadFlags(f"--api-faults {self.api_faults}: {error}") from None

    def chosen_components(self) -> tuple[str, ...]:
        """The components that run. Raises BadFlags."""
        names = tuple(name.strip() for name in self.components.split(",") if name.strip())
        for name in names:
            if name not in COMPONENTS:
                raise BadFlags(f"--components has {name!r}; expected some of {', '.join(COMPONENTS)}")
        return names

    def compaction_ns(self) -> int:
        """The time between two compactions; 0 never compacts. Raises BadFlags."""
        text = self.etcd_compaction_interval
        try:
            interval_ns = 0 if text == "0" else parse_duration(text)
        except ValueError:
            raise BadFlags(f"--etcd-compaction-interval is {text!r}; expected a duration such as 5m") from None
        if interval_ns < 0 or 0 < interval_ns < SECOND:
            raise BadFlags(f"--etcd-compaction-interval is {text!r}; expected 0 or at least 1s")
        return interval_ns or 10**6 * MINUTE

    def profile(self) -> tuple[str, ...]:
        """The admission plugins that run, in order."""
        disabled = {name.strip() for name in self.disable_admission_plugins.split(",")}
        if "ServiceAccount" in disabled:  # upstream's one plugin is three here
            disabled |= {name for name in SERVE_PROFILE if name.startswith("ServiceAccount")}
        return tuple(name for name in SERVE_PROFILE if name not in disabled)

    def allows_privileged(self) -> bool:
        """Whether privileged containers are allowed: as said, else for a whole cluster, as distributions set it. Raises BadFlags."""
        if self.allow_privileged not in ("", "true", "false"):
            raise BadFlags(f"--allow-privileged is {self.allow_privileged!r}; expected true or false")
        return self.allow_privileged == "true" or (not self.allow_privileged and "kubelet" in self.chosen_components())

    def chosen_controllers(self) -> Callable[[str], bool]:
        """Whether a controller runs: named, or all of them by ``*``, but not when named with a minus in front."""
        names = [name.strip() for name in self.controllers.split(",") if name.strip()]
        return lambda name: f"-{name}" not in names and (name in names or "*" in names)
