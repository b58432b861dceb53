"""The end of an HTTP server, in a process that goes on."""

from __future__ import annotations

import http.client
import logging
import socket
import threading
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from local_cloud.http_server import HttpServer


def test_a_call_that_is_under_way_has_its_answer_and_nothing_is_left(caplog: pytest.LogCaptureFixture) -> None:
    arrived, answer = threading.Event(), threading.Event()

    def application(_environment: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        arrived.set()
        assert answer.wait(10)
        start("200 OK", [("Content-Length", "5")])
        return [b"whole"]

    server = HttpServer(application, "127.0.0.1", port=0, threads=2)
    serving = threading.Thread(target=server.serve)
    serving.start()
    idle = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    caller = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    caller.request("GET", "/")
    assert arrived.wait(10)

    closing = threading.Thread(target=server.close)
    closing.start()
    serving.join(10)
    assert not serving.is_alive()
    answer.set()
    assert caller.getresponse().read() == b"whole"
    closing.join(10)
    assert not closing.is_alive()

    assert idle.recv(1) == b"", "a connection that nobody uses is closed, too"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port), timeout=10)
    assert not caplog.records


def test_many_servers_end_in_one_process_while_they_are_asked(caplog: pytest.LogCaptureFixture) -> None:
    def application(_environment: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        start("200 OK", [("Content-Length", "2")])
        return [b"ok"]

    before = set(threading.enumerate())
    for _ in range(20):
        server = HttpServer(application, "127.0.0.1", port=0, threads=4)
        serving = threading.Thread(target=server.serve)
        serving.start()
        callers = [threading.Thread(target=_ask_until_it_ends, args=(server.port,)) for _ in range(4)]
        for caller in callers:
            caller.start()
        server.close()
        for thread in (serving, *callers):
            thread.join(10)
            assert not thread.is_alive()
    # One of another test may have ended meanwhile; none has been added.
    assert set(threading.enumerate()) <= before
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_a_server_that_never_served_is_closed() -> None:
    server = HttpServer(lambda _environment, _start: [], "127.0.0.1", port=0, threads=1)
    server.close()
    server.serve()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port), timeout=10)


def _ask_until_it_ends(port: int) -> None:
    try:
        while True:
            caller = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            caller.request("GET", "/")
            caller.getresponse().read()
            caller.close()
    except (OSError, http.client.HTTPException):
        return
