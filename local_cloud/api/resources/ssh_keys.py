"""SSH keys: https://docs.digitalocean.com/reference/api/digitalocean/#tag/SSH-Keys"""

from __future__ import annotations

import base64
import binascii
import hashlib

from flask import Blueprint, Response

from local_cloud.api.answers import Json, answer, no_content, not_found, page, unprocessable
from local_cloud.api.body import Body
from local_cloud.api.cloud import the_cloud
from local_cloud.api.records import SshKey
from local_cloud.api.store import Store

routes = Blueprint("ssh_keys", __name__)


def fingerprint(public_key: str) -> str | None:
    """The MD5 fingerprint, in pairs of hex digits, of an OpenSSH public key; None if it is none."""
    parts = public_key.split()
    if len(parts) < 2:
        return None
    try:
        blob = base64.b64decode(parts[1], validate=True)
    except (binascii.Error, ValueError):
        return None
    # The key's type comes first in the blob too, after its length (RFC 4253, 6.6).
    if blob[4 : 4 + int.from_bytes(blob[:4], "big")] != parts[0].encode():
        return None
    digest = hashlib.md5(blob, usedforsecurity=False).hexdigest()
    return ":".join(digest[at : at + 2] for at in range(0, 32, 2))


def find_key(store: Store, identifier: str) -> SshKey | None:
    """The key with this number or fingerprint."""
    if identifier.isdigit():
        return store.ssh_keys.get(int(identifier))
    return next((key for key in store.ssh_keys if key.fingerprint == identifier), None)


def show_key(key: SshKey) -> Json:
    return {"id": key.id, "fingerprint": key.fingerprint, "public_key": key.public_key, "name": key.name}


@routes.get("/v2/account/keys")
def list_keys() -> Response:
    return page("ssh_keys", the_cloud().store.ssh_keys, show_key)


@routes.post("/v2/account/keys")
def create_key() -> Response:
    store, body = the_cloud().store, Body.of_request()
    name, public_key = body.required_text("name"), body.required_text("public_key").strip()
    mark = fingerprint(public_key)
    if mark is None:
        raise unprocessable("Key invalid, key should be of the format `[type] [key] [comment]`")
    if any(key.fingerprint == mark for key in store.ssh_keys):
        raise unprocessable("SSH Key is already in use on your account")
    key = SshKey(store.next_number("ssh_key"), name, public_key, mark)
    store.ssh_keys.save(key)
    return answer({"ssh_key": show_key(key)}, 201)


@routes.get("/v2/account/keys/<identifier>")
def get_key(identifier: str) -> Response:
    return answer({"ssh_key": show_key(_known(identifier))})


@routes.put("/v2/account/keys/<identifier>")
def update_key(identifier: str) -> Response:
    key = _known(identifier)
    key.name = Body.of_request().required_text("name")
    the_cloud().store.ssh_keys.save(key)
    return answer({"ssh_key": show_key(key)})


@routes.delete("/v2/account/keys/<identifier>")
def delete_key(identifier: str) -> Response:
    the_cloud().store.ssh_keys.delete(_known(identifier).id)
    return no_content()


def _known(identifier: str) -> SshKey:
    key = find_key(the_cloud().store, identifier)
    if key is None:
        raise not_found()
    return key
