"""The CRI door: a runtime whose behaviour is decided by a model in Python. Here images have sizes and a registry that fails."""

from kubesim import Cluster
from kubesim.kernel.rng import Stream
from kubesim.kernel.time import SECOND
from kubesim.kubelet.models.contract import Image
from kubesim.kubelet.models.default import DefaultModel
from kubesim.testing import builders

BYTES_PER_SECOND = 50_000_000


class SlowRegistry(DefaultModel):
    """Images of a gigabyte over a line of 50 MB/s; one of them does not exist."""

    def image(self, image: str) -> Image:
        """An image as the registry has it."""
        if "missing" in image:
            return Image(0, "manifest unknown")
        return Image(1_000_000_000)

    def pull_ns(self, stream: Stream, image: Image, is_present: bool) -> int:
        """A pull takes its bytes' time; an image that the node has, none."""
        return 0 if is_present else image.size_bytes * SECOND // BYTES_PER_SECOND


def main() -> None:
    """Pull once, start twice, and fail once."""
    with Cluster(nodes=1, seed=1, model=SlowRegistry(seed=1)) as cluster:
        cluster.apply(builders.pod("first", image="example.com/big:1"))
        cluster.run_until("Pod first Running")
        pulled_seconds = cluster.virtual_seconds
        cluster.apply(builders.pod("second", image="example.com/big:1"))
        cluster.run_until("Pod second Running")
        cached_seconds = cluster.virtual_seconds - pulled_seconds
        print(f"with the pull {pulled_seconds:.1f} s, from the node's cache {cached_seconds:.1f} s")
        assert pulled_seconds > 20
        assert cached_seconds < 1

        cluster.apply(builders.pod("third", image="example.com/missing:1"))
        cluster.run_for("1m")
        waiting = cluster.get("Pod", "third")["status"]["containerStatuses"][0]["state"]["waiting"]
        print(f"{waiting['reason']}: {waiting['message']}")
        assert waiting["reason"] in ("ImagePullBackOff", "ErrImagePull")


if __name__ == "__main__":
    main()
