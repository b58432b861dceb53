"""How a plugin serves gRPC to the engine that started it.

The first line on stdout is the port; the engine waits ten seconds for it:
https://github.com/pulumi/pulumi/blob/v3.259.0/sdk/go/common/resource/plugin/plugin.go
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

#: The engine's own limit for one message, in bytes (400 MiB).
MESSAGE_LIMIT = 400 * 1024 * 1024
#: Calls at once. Waiting calls hold a thread each, and Cancel must still find one.
THREADS = 128
#: How often we look whether the engine is still there, in seconds.
ORPHAN_CHECK_SECONDS = 2.0


def serve(register: Callable[[grpc.Server], None], stop: Callable[[], None]) -> None:
    """Serve what `register` adds until SIGINT, SIGTERM or the engine's death; then call `stop` and exit quietly."""
    options: list[tuple[str, Any]] = [
        ("grpc.max_receive_message_length", MESSAGE_LIMIT),
        ("grpc.max_send_message_length", MESSAGE_LIMIT),
    ]
    server = grpc.server(ThreadPoolExecutor(max_workers=THREADS), options=options)
    register(server)
    port = server.add_insecure_port("127.0.0.1:0")
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    engine = os.getppid()
    server.start()
    print(port, flush=True)
    while not ended.wait(ORPHAN_CHECK_SECONDS) and os.getppid() == engine:
        pass
    stop()
    server.stop(grace=None)
    sys.stdout.flush()
    sys.stderr.flush()
    # Not sys.exit: it would wait for threads that still sleep in a call that nobody waits for any more.
    os._exit(0)
