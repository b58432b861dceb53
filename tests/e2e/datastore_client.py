"""Tries to get into a datastore: `python -m tests.e2e.datastore_client`, with what to try as JSON on standard input.

Prints what came of it as JSON: `error`, or `answers`, one for each of the `queries`.
"""

from __future__ import annotations

import json
import ssl
import sys
from collections.abc import Iterator
from typing import Any

import pg8000.native
import pymysql


def attempt(asked: dict[str, Any]) -> dict[str, Any]:
    """`ca` is the PEM of the authority to believe; without it the connection is in plain text."""
    context = None
    if asked["ca"]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=asked["ca"])
    try:
        return {"answers": list((_mysql if asked["engine"] == "mysql" else _postgres)(asked, context))}
    except (pg8000.Error, pymysql.Error, OSError) as error:
        return {"error": str(error)}


def _postgres(asked: dict[str, Any], context: ssl.SSLContext | None) -> Iterator[Any]:
    database = pg8000.native.Connection(
        asked["user"],
        host=asked["host"],
        port=asked["port"],
        database=asked["database"],
        password=asked["password"],
        ssl_context=context or False,
        timeout=3,
    )
    for query in asked["queries"]:
        yield database.run(query)


def _mysql(asked: dict[str, Any], context: ssl.SSLContext | None) -> Iterator[Any]:
    database = pymysql.connect(
        host=asked["host"],
        port=asked["port"],
        user=asked["user"],
        password=asked["password"],
        database=asked["database"],
        ssl=context,
        ssl_disabled=context is None,
        connect_timeout=3,
        read_timeout=3,
    )
    with database, database.cursor() as cursor:
        for query in asked["queries"]:
            cursor.execute(query)
            yield [list(row) for row in cursor.fetchall()]


if __name__ == "__main__":
    print(json.dumps(attempt(json.load(sys.stdin)), default=str))
