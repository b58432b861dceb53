"""Spaces as a droplet sees them: TLS that it trusts, signatures that are verified, buckets of one region each."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.room.conftest import CHECKOUT, Droplet, Landscape, run_as

pytestmark = pytest.mark.e2e

HOST = "fra1.digitaloceanspaces.com"
BUCKET = "room-bucket"


def local_cloud(*words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([str(CHECKOUT / "bin/local-cloud"), *words], capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, done.stderr
    return done


@dataclass(frozen=True)
class Spaces:
    """What a customer has: a droplet to ask from, and an access key."""

    droplet: Droplet
    key: str
    secret: str

    def ask(self, method: str, path: str, body: str = "", *, host: str = HOST, key: str = "", secret: str = "") -> str:
        """The status, a space, and the body of an answer to a request that is signed; whatever curl says of none."""
        signed = f"--aws-sigv4 aws:amz:us-east-1:s3 --user '{key or self.key}:{secret or self.secret}'"
        digest = hashlib.sha256(body.encode()).hexdigest()
        data = f"--data-binary '{body}'" if body else ""
        options = f"-sS -X {method} -H 'Content-Type: text/plain' -H 'x-amz-content-sha256: {digest}' {data}"
        done = self.droplet.ssh(f"curl {options} {signed} -w '\\n%{{http_code}}' https://{host}/{path}")
        answer, _, status = done.stdout.rpartition("\n")
        return f"{status} {answer}{done.stderr}"


@pytest.fixture(scope="module")
def spaces(landscape: Landscape) -> Iterator[Spaces]:
    made = local_cloud("spaces", "bucket", BUCKET, check=False)
    assert made.returncode == 0 or "BucketAlready" in made.stderr
    key = json.loads(local_cloud("spaces", "key").stdout)
    yield Spaces(landscape.first, key["accessKey"], key["secretKey"])
    local_cloud("spaces", "revoke", key["accessKey"])


def test_what_is_put_into_a_bucket_is_there(spaces: Spaces) -> None:
    assert spaces.ask("PUT", f"{BUCKET}/folder/file", "hello").startswith("200")
    assert spaces.ask("GET", f"{BUCKET}/folder/file") == "200 hello"
    assert "folder/file" in local_cloud("spaces", "ls", BUCKET).stdout
    assert spaces.ask("DELETE", f"{BUCKET}/folder/file").startswith("204")
    assert "<Code>NoSuchKey</Code>" in spaces.ask("GET", f"{BUCKET}/folder/file")


def test_requests_are_refused_as_s3_refuses_them(spaces: Spaces) -> None:
    assert "<Code>SignatureDoesNotMatch</Code>" in spaces.ask("GET", BUCKET, secret="wrong")
    assert "<Code>InvalidAccessKeyId</Code>" in spaces.ask("GET", BUCKET, key="DO00NOSUCHKEY")
    assert "<Code>NoSuchBucket</Code>" in spaces.ask("GET", "no-such-bucket")
    unsigned = spaces.droplet.ssh(f"curl -sS -w '%{{http_code}}' https://{HOST}/{BUCKET}")
    assert unsigned.stdout.endswith("403")
    revoked = json.loads(local_cloud("spaces", "key").stdout)
    theirs = {"key": revoked["accessKey"], "secret": revoked["secretKey"]}
    assert spaces.ask("GET", BUCKET, **theirs).startswith("200")
    local_cloud("spaces", "revoke", revoked["accessKey"])
    assert "<Code>InvalidAccessKeyId</Code>" in spaces.ask("GET", BUCKET, **theirs)


def test_a_bucket_is_of_one_region(spaces: Spaces) -> None:
    other = "ams3.digitaloceanspaces.com"
    made = local_cloud("spaces", "bucket", "--region", "ams3", "room-other", check=False)
    assert made.returncode == 0 or "BucketAlready" in made.stderr
    assert spaces.ask("GET", "room-other", host=other).startswith("200")
    assert "<Code>NoSuchBucket</Code>" in spaces.ask("GET", BUCKET, host=other)
    assert "Failed to connect" in spaces.ask("GET", BUCKET, host="lon1.digitaloceanspaces.com")
    # nyc1 has droplets and no Spaces: docs.digitalocean.com/products/spaces/details/availability
    assert "Could not resolve host" in spaces.ask("GET", BUCKET, host="nyc1.digitaloceanspaces.com")


def test_a_bucket_s_name_is_taken_once_and_bound_by_rules(spaces: Spaces) -> None:
    taken = local_cloud("spaces", "bucket", BUCKET, check=False)
    assert taken.returncode == 1
    assert taken.stderr.startswith(f"bin/local-cloud spaces: {HOST} does not make the bucket {BUCKET}: BucketAlready")
    assert "InvalidBucketName" in local_cloud("spaces", "bucket", "Room_Bucket", check=False).stderr


def test_stopped_spaces_answer_nobody_and_come_back_as_they_were(spaces: Spaces) -> None:
    spaces.ask("PUT", f"{BUCKET}/kept", "still here")
    local_cloud("fault", "stop-spaces")
    assert "Failed to connect" in spaces.ask("GET", f"{BUCKET}/kept")
    local_cloud("fault", "start-spaces")
    assert spaces.ask("GET", f"{BUCKET}/kept") == "200 still here"


def test_who_holds_a_key_is_no_administrator_of_the_store(spaces: Spaces) -> None:
    assert not spaces.ask("PATCH", "create-user").startswith("2")
    assert not spaces.ask("PATCH", "list-users").startswith("2")
    assert run_as("outsider", "curl", "-sS", "-m", "3", f"http://{HOST}").returncode != 0
