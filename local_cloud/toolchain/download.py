"""Files from a host on the internet, over HTTPS alone, in bounded time. What breaks off is never taken for whole."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from http.client import HTTPException, HTTPMessage, HTTPResponse
from pathlib import Path
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

CHUNK = 1 << 16
#: No list of checksums is longer.
LONGEST_TEXT = 1 << 20


class DownloadError(Exception):
    """A file could not be had: the message says which and why."""


class HostSilentError(DownloadError):
    """The host does not answer: there is no use in asking it for something else."""


@dataclass(frozen=True)
class Patience:
    """How long a download may take: until the host answers (its name looked up, connected, TLS agreed upon, the answer
    begun), without a byte, and altogether. The whole is what is still worth it: a build takes four minutes."""

    answer_seconds: float = 5
    stall_seconds: float = 30
    whole_seconds: float = 600


def text_at(url: str, patience: Patience) -> str:
    """A short text file. Raises `DownloadError`."""
    content = b""
    for chunk in _chunks(url, patience):
        content += chunk
        if len(content) > LONGEST_TEXT:
            raise DownloadError(f"{url} is longer than {LONGEST_TEXT} bytes")
    return content.decode(errors="replace")


def save(url: str, file: Path, patience: Patience) -> None:
    """Write what is at `url` into `file`. Raises `DownloadError`; then a part of it may be there."""
    with file.open("wb") as output:
        for chunk in _chunks(url, patience):
            output.write(chunk)


def _chunks(url: str, patience: Patience) -> Iterator[bytes]:
    until = time.monotonic() + patience.whole_seconds
    with _answer(url, patience) as response:
        while True:
            try:
                # One read of the connection's, so that a trickle does not hold us beyond the whole time.
                chunk = response.read1(CHUNK)
            except (OSError, HTTPException) as error:
                raise DownloadError(f"{url} broke off ({error or type(error).__name__})") from error
            if not chunk:
                break
            if time.monotonic() > until:
                raise DownloadError(f"{url} was not complete after {patience.whole_seconds:g} s")
            yield chunk
        # What Content-Length promised and did not come: http.client ends such an answer like any other.
        if response.length:
            raise DownloadError(f"{url} broke off, {response.length} bytes before its end")


def _answer(url: str, patience: Patience) -> HTTPResponse:
    """The answer, up to its headers. In a thread, as a look-up of a name knows no timeout, and an address is one of
    several: what counts is the time until something answers."""
    answer: Future[HTTPResponse] = Future()

    def ask() -> None:
        try:
            request = Request(url, headers={"User-Agent": "k3s-digitalocean"})  # noqa: S310 - see _HttpsAlone
            answer.set_result(build_opener(_HttpsAlone).open(request, timeout=patience.stall_seconds))
        except Exception as error:
            answer.set_exception(error)

    _insist_on_https(url)
    host = urlsplit(url).hostname
    threading.Thread(target=ask, daemon=True).start()
    try:
        return answer.result(timeout=patience.answer_seconds)
    except TimeoutError as error:
        raise HostSilentError(f"{host} did not answer within {patience.answer_seconds:g} s") from error
    except HTTPError as error:
        raise DownloadError(f"{url}: HTTP {error.code} {error.reason}") from error
    except URLError as error:
        raise HostSilentError(f"{host} cannot be reached ({error.reason})") from error
    except (OSError, HTTPException) as error:
        raise HostSilentError(f"{host} does not speak HTTPS ({error or type(error).__name__})") from error


class _HttpsAlone(HTTPRedirectHandler):
    """Follows no redirect away from HTTPS."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        _insist_on_https(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _insist_on_https(url: str) -> None:
    if urlsplit(url).scheme != "https":
        raise DownloadError(f"{url} is not https")
