"""One request on its way through the server: what came, who sent it, what it means, what is to be told besides the answer."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

from kubesim.api.errors import ApiError
from kubesim.server.apiserver.media import DEFAULT, Form
from kubesim.server.apiserver.routes import Route
from kubesim.server.apiserver.target import Target, parse_target
from kubesim.server.apiserver.users import NOBODY, User

Object = dict[str, Any]
WARNING_BYTES_MAX = 4096


class Call:
    """A request. ``headers`` have names in lower case; of a name that comes twice the mapping holds the first."""

    __slots__ = (
        "_outcomes", "_position", "audit", "authenticated", "body", "certificate", "client", "decision", "decoded", "form", "header_list",
        "headers", "method", "path", "query", "read_at", "route", "target", "uri", "user", "warnings",
    )  # fmt: skip

    def __init__(
        self, method: str, path: str, query: str, headers: Sequence[tuple[str, str]], certificate: Mapping[str, object] | None = None
    ) -> None:
        self.method = method
        self.path = path
        self.query: dict[str, str] = {}
        for key, value in parse_qsl(query, keep_blank_values=True) if query else ():
            self.query.setdefault(key, value)
        self.header_list = headers
        self.headers: dict[str, str] = {}
        for key, value in headers:
            self.headers.setdefault(key, value)
        self._outcomes: list[Any] = []
        self._position = 0
        self.certificate = certificate
        self.body = b""
        self.decoded: Object | None = None  # the object in the body with the empty lists and maps that are left out of it
        self.read_at = 0  # a fault: the revision that is read; 0 for the present
        self.user: User = NOBODY
        self.authenticated: User = NOBODY  # who sent it, when ``user`` is whom it acts as
        self.client = ""  # the address that it came from
        self.uri = f"{path}?{query}" if query else path
        self.decision: tuple[bool, str] | None = None  # of the authorizer: whether it may, and why
        self.audit: Any = None  # the record of the audit log
        self.warnings: list[str] = []
        self.form: Form = DEFAULT
        self.route: Route | None = None
        self.target: Target = parse_target(method, path, self.is_watch, name_in_fields(self.query.get("fieldSelector", "")))

    def keep(self, decoded: Object) -> None:
        """Remember the object in the body as it was decoded."""
        self.decoded = decoded

    def once(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function that must not be called again when the call is handled anew after a webhook's answer; raises what it raised.

        A call that has to wait is handled from its beginning once more: what was done until then is remembered in order.
        """
        if self._position == len(self._outcomes):
            try:
                self._outcomes.append(function(*arguments))
            except ApiError as error:
                self._outcomes.append(error)
        outcome = self._outcomes[self._position]
        self._position += 1
        if isinstance(outcome, ApiError):
            raise outcome
        return outcome

    def again(self, outcome: Any) -> None:
        """Begin anew; ``outcome`` is that of the function that could not be finished."""
        self._outcomes.append(outcome)
        self._position = 0

    def forget(self) -> None:
        """Begin anew, and do everything again."""
        self._outcomes.clear()
        self._position = 0

    @property
    def is_watch(self) -> bool:
        """Whether the query asks for a watch."""
        return self.query.get("watch", "false").lower() not in ("false", "0")

    @property
    def is_dry(self) -> bool:
        """Whether the query asks for a dry run."""
        return bool(self.query.get("dryRun"))

    def warn(self, message: str) -> None:
        """Add a Warning header; one text once."""
        if message not in self.warnings:
            self.warnings.append(message)

    def warning_headers(self) -> list[tuple[str, str]]:
        """The Warning headers, within upstream's limit."""
        found: list[tuple[str, str]] = []
        for message in self.warnings:
            escaped = message.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
            found.append(("Warning", f'299 - "{escaped}"'))
        return found


def name_in_fields(selector: str) -> str:
    """The name that a field selector picks with metadata.name=NAME, or ""."""
    if not selector:
        return ""
    for term in selector.split(","):
        key, _, value = term.partition("=")
        if key == "metadata.name" and value:
            return value.removeprefix("=")
    return ""
