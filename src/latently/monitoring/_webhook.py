"""Delivery of alerts to a webhook, with a time limit for each request."""

from __future__ import annotations

import http.client
import json
import time
from urllib.parse import urlsplit

from latently.exceptions import ParameterError

#: Answers that a repetition of the same request cannot change.
_REFUSED = frozenset({400, 413, 415, 422})
#: Longest status line that is read.
_LONGEST = 1024


class DeliveryError(Exception):
    """A request failed and is to be repeated."""


class RefusedError(Exception):
    """The server refused this alert for good."""


class Webhook:
    """Send alerts by POST, one JSON document a request.

    The header ``Idempotency-Key`` holds the key of the alert. An alert may arrive twice if a
    connection breaks before the answer, or if the process is killed. Redirects are not followed.

    Parameters
    ----------
    url : str
        URL with http or https.
    time_limit : float, default=10.0
        Longest time for one request and its answer, in seconds.
    """

    def __init__(self, url: str, time_limit: float = 10.0) -> None:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise ParameterError(
                "webhook must be a URL, and could not be read. Check it."
            ) from None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ParameterError(
                f"webhook must be an http or https URL, got scheme {parts.scheme[:20]!r}. Try "
                "https://example.org/alerts."
            )
        if parts.username is not None:
            raise ParameterError(
                "webhook must hold no user name, got one. Use a token in its path or query."
            )
        if not time_limit > 0:
            raise ParameterError(f"time_limit must be positive, got {time_limit}. Try 10.")
        self.time_limit = time_limit
        self.name = f"{parts.scheme}://{parts.hostname}"
        self._is_secure, self._host, self._port = parts.scheme == "https", parts.hostname, port
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")

    def __call__(self, line: bytes) -> None:
        """Send one alert.

        Parameters
        ----------
        line : bytes
            A line of JSON with ``key``.

        Raises
        ------
        DeliveryError
            If there is no positive answer in time.
        RefusedError
            If the server answers that the alert itself is wrong.
        """
        end = time.monotonic() + self.time_limit
        try:
            status = self._post(line, end)
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = str(error) or type(error).__name__
            raise DeliveryError(f"{self.name}: {reason[:100]}") from None
        if status in _REFUSED:
            raise RefusedError(f"{self.name} answered {status}")
        if not 200 <= status < 300:
            raise DeliveryError(f"{self.name} answered {status}")

    def _post(self, line: bytes, end: float) -> int:
        make = http.client.HTTPSConnection if self._is_secure else http.client.HTTPConnection
        connection = make(self._host, self._port, timeout=self.time_limit)
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": json.loads(line)["key"],
            "User-Agent": "latently",
            "Connection": "close",
        }
        try:
            connection.request("POST", self._path, line.rstrip(b"\n"), headers)
            return _status(connection, end)
        finally:
            connection.close()


def _status(connection: http.client.HTTPConnection, end: float) -> int:
    """Return the status of an answer, before a time.

    The time limit of a socket is that of each byte. A server that sends them slowly must not stop
    the watch.
    """
    answer = b""
    while b"\n" not in answer and len(answer) < _LONGEST:
        remaining = end - time.monotonic()
        if remaining <= 0:
            raise TimeoutError("timed out")
        connection.sock.settimeout(remaining)
        piece = connection.sock.recv(_LONGEST)
        if not piece:
            raise ConnectionError("the connection was closed without an answer")
        answer += piece
    words = answer.split(b"\n", 1)[0].split()
    if len(words) < 2 or not words[0].startswith(b"HTTP/"):
        raise ConnectionError("the answer is no HTTP")
    return int(words[1])
