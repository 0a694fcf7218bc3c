"""A small client of a Kubernetes API for tests: JSON in, JSON out, watches line by line. The standard library and a kubeconfig, no more.

The official client takes a second to import; a test that wants to be over in a few milliseconds takes this one.
"""

import base64
import http.client
import json
import ssl
import tempfile
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import yaml

from kubesim.api.errors import ApiError

CONTENT_TYPES = {
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "json": "application/json-patch+json",
    "apply": "application/apply-patch+yaml",
}
TIMEOUT_SECONDS = 30.0


class Client:
    """One connection to a server, as a kubeconfig's user. Answers of 400 and more are raised as ApiError."""

    def __init__(self, url: str, context: ssl.SSLContext | None = None, token: str = "", timeout: float = TIMEOUT_SECONDS) -> None:
        self._address = urlsplit(url).netloc
        self._context = context
        self._timeout = timeout
        self._headers = {"Accept": "application/json", "User-Agent": "kubesim-client"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        self._connection = self._connect()

    @classmethod
    def of(cls, kubeconfig: Path | str, **options: Any) -> Self:
        """A client of the current context of a kubeconfig with embedded certificates or a token. Raises OSError."""
        document = yaml.safe_load(Path(kubeconfig).read_text())
        context = next(each["context"] for each in document["contexts"] if each["name"] == document["current-context"])
        cluster = next(each["cluster"] for each in document["clusters"] if each["name"] == context["cluster"])
        user = next(each["user"] for each in document["users"] if each["name"] == context["user"])
        tls = ssl.create_default_context(cadata=_text(cluster["certificate-authority-data"]))
        if "client-certificate-data" in user:
            with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:  # the ssl module reads certificates from files only
                file.write(_text(user["client-certificate-data"]) + _text(user["client-key-data"]))
                file.flush()
                tls.load_cert_chain(file.name)
        return cls(cluster["server"], tls, user.get("token", ""), **options)

    def _connect(self) -> http.client.HTTPConnection:
        if self._context is None:
            return http.client.HTTPConnection(self._address, timeout=self._timeout)
        return http.client.HTTPSConnection(self._address, context=self._context, timeout=self._timeout)

    def request(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> Any:
        """Send a request; return the JSON of the answer. Raises ApiError, OSError, http.client.HTTPException."""
        answer = self._send(self._connection, method, path, body, content_type)
        return json.loads(answer.read() or b"null")

    def _send(self, connection: Any, method: str, path: str, body: Any, content_type: str) -> http.client.HTTPResponse:
        headers = self._headers if body is None else {**self._headers, "Content-Type": content_type}
        try:
            connection.request(method, path, None if body is None else json.dumps(body).encode(), headers)
            answer: http.client.HTTPResponse = connection.getresponse()
        except (OSError, http.client.HTTPException):
            connection.close()  # the next request opens it anew
            raise
        if answer.status >= 400:
            data = answer.read()
            try:
                status = json.loads(data)
                raise ApiError(answer.status, status.get("reason", ""), status.get("message", ""), status.get("details") or {})
            except (ValueError, AttributeError):
                raise ApiError(answer.status, "", data.decode("utf-8", "replace"), {}) from None
        return answer

    def get(self, path: str) -> Any:
        """Read an object or a list. Raises as ``request``."""
        return self.request("GET", path)

    def post(self, path: str, body: Any = None) -> Any:
        """Create an object. Raises as ``request``."""
        return self.request("POST", path, body)

    def put(self, path: str, body: Any) -> Any:
        """Replace an object. Raises as ``request``."""
        return self.request("PUT", path, body)

    def patch(self, path: str, body: Any, patch_type: str = "merge") -> Any:
        """Patch an object: merge, strategic, json or apply. Raises as ``request``, KeyError for another type."""
        return self.request("PATCH", path, body, CONTENT_TYPES[patch_type])

    def delete(self, path: str, body: Any = None) -> Any:
        """Delete an object or a collection. Raises as ``request``."""
        return self.request("DELETE", path, body)

    def watch(self, path: str) -> "Events":
        """Open a watch on a connection of its own; iterate over its events until the server ends it. Raises as ``request``."""
        connection = self._connect()
        joint = "&" if "?" in path else "?"
        try:
            return Events(connection, self._send(connection, "GET", f"{path}{joint}watch=true", None, ""))
        except BaseException:
            connection.close()
            raise

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class Events:
    """An open watch: an iterator of events, to be closed."""

    def __init__(self, connection: http.client.HTTPConnection, answer: http.client.HTTPResponse) -> None:
        self._connection = connection
        self._answer = answer

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> dict[str, Any]:
        """The next event. Raises StopIteration when the server has ended the watch."""
        line = self._answer.readline()
        if not line:
            self.close()
            raise StopIteration
        event: dict[str, Any] = json.loads(line)
        return event

    def close(self) -> None:
        """Watch no longer."""
        self._answer.close()
        self._connection.close()


def _text(data: str) -> str:
    return base64.b64decode(data).decode()
