"""Lists of addresses as etcd takes them. Upstream: etcd ``client/pkg/types/urls.go``."""

from urllib.parse import urlsplit

from kubesim.etcd.errors import EtcdError

SCHEMES = ("http", "https", "unix", "unixs")


class BadUrls(EtcdError):
    """The addresses of a member are none."""

    message = "etcdserver: given member URLs are invalid"


def check_url(url: str) -> str:
    """Return an address as it is. Raises ValueError in a sentence for one that is not scheme://host:port."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(f"{url!r} is no URL; expected one like http://127.0.0.1:2379") from None
    if parts.scheme not in SCHEMES:
        raise ValueError(f"the scheme of {url!r} is {parts.scheme!r}; expected http, https, unix or unixs")
    if parts.scheme in ("http", "https") and (port is None or "@" in parts.netloc):
        raise ValueError(f"{url!r} has no port; expected host:port")
    if parts.path or parts.query or parts.fragment:
        raise ValueError(f"{url!r} has a path; expected none")
    return url


def sorted_urls(urls: list[str]) -> tuple[str, ...]:
    """Return a member's addresses in order. Raises BadUrls for none at all or one that is no address."""
    if not urls:
        raise BadUrls
    try:
        return tuple(sorted(check_url(url.strip()) for url in urls))
    except ValueError:
        raise BadUrls from None
