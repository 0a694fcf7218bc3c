"""A run of the kernel alone, printed as one digest: ``python kernel_script.py SEED``. Meant to be run under several PYTHONHASHSEED."""

import sys

from kubesim.drive import virtual
from kubesim.kernel import MILLISECOND, Kernel, LinkProfile, Network, Wakeup, format_micro_time

HOSTS = [f"host-{number}" for number in range(7)]


def main(seed: int) -> None:
    kernel = Kernel(seed=seed, shuffle_ties=True)
    network = Network(kernel, LinkProfile(MILLISECOND, MILLISECOND, loss=0.05, duplication=0.05, reorder=0.1))
    uids = kernel.rng("uids")

    def receive(host: str, source: str, message: int) -> None:
        kernel.trace.record(format_micro_time(kernel.now_ns), source, host, message, uids.uuid(), uids.suffix())
        stream = kernel.rng(host)
        if message:
            network.send(host, stream.choice(HOSTS), message - 1)
            kernel.after(int(stream.exponential(1e6)), network.send, host, stream.choice(HOSTS), message // 2)
        wakeups[host].set()

    wakeups = {
        host: Wakeup(kernel, lambda host=host: kernel.trace.record("wake", host, kernel.rng("n").normal(0, 1)), 10) for host in HOSTS
    }
    for host in HOSTS:
        network.add_host(host, lambda source, message, host=host: receive(host, source, message))
    for host in set(HOSTS) if seed < 0 else HOSTS:  # a negative seed shows that the test can fail
        kernel.trace.record("host", host)
        network.send(host, host, 12)
    kernel.after(5 * MILLISECOND, network.partition, HOSTS[:3], HOSTS[3:5])
    kernel.after(9 * MILLISECOND, network.heal)
    virtual.run(kernel)
    print(kernel.trace.count, kernel.trace.digest())


main(int(sys.argv[1]))
