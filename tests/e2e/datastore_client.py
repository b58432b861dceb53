"""Tries to get into a PostgreSQL datastore: `python datastore_client.py`, with what to try as JSON on standard input.

Prints what came of it as JSON: `error`, or `answers`, one for each of the `queries`.
"""

from __future__ import annotations

import json
import ssl
import sys
from typing import Any

import pg8000.native


def attempt(asked: dict[str, Any]) -> dict[str, Any]:
    """`ca` is the PEM of the authority to believe; without it the connection is in plain text."""
    context: ssl.SSLContext | bool = False
    if asked["ca"]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=asked["ca"])
    try:
        database = pg8000.native.Connection(
            asked["user"],
            host=asked["host"],
            port=asked["port"],
            database=asked["database"],
            password=asked["password"],
            ssl_context=context,
            timeout=3,
        )
        return {"answers": [database.run(query) for query in asked["queries"]]}
    except (pg8000.Error, OSError) as error:
        return {"error": str(error)}


if __name__ == "__main__":
    print(json.dumps(attempt(json.load(sys.stdin)), default=str))
