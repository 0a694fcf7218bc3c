"""The door to HTTP extenders of the scheduler: POST JSON, wait for JSON."""

import json
import urllib.request
from typing import Any

SECOND = 1_000_000_000


def post_json(url: str, body: dict[str, Any], timeout_ns: int) -> Any:
    """The answer of a server. Raises OSError when there is none, or when it is no JSON."""
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=timeout_ns / SECOND) as answer:
            return json.load(answer)
    except ValueError as error:
        raise OSError(f'Post "{url}": the answer is not JSON: {error}') from error
