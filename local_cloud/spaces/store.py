"""One S3 store: versitygw over a folder, which verifies signatures (version 4) and answers over TLS."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from local_cloud import processes
from local_cloud.commands import run
from local_cloud.machine_room import MachineRoomError
from local_cloud.network.namespaces import inside
from local_cloud.spaces.access_keys import AccessKey
from local_cloud.toolchain.go import ToolchainError, go_build
from local_cloud.toolchain.progress import Report, to_stderr

SOURCE = Path(__file__).with_name("versitygw")
PACKAGE = "github.com/versity/versitygw/cmd/versitygw"
#: What requests name as the region they are signed for. DigitalOcean's own examples have it for every region of Spaces
#: (docs.digitalocean.com/products/spaces/reference/aws-sdks).
SIGNING_REGION = "us-east-1"
PORT = 443
READY_SECONDS = 15


@dataclass(frozen=True)
class Store:
    """A store in `folder`, whether it runs or not: `host`, at `address` in the network namespace `namespace`.

    `accounts` is the folder of access keys; `certificate`, `key` and `authority` are PEM files.
    """

    folder: Path
    namespace: str
    address: IPv4Address
    host: str
    accounts: Path
    certificate: Path
    key: Path
    authority: Path

    @property
    def pid_file(self) -> Path:
        return self.folder / "versitygw.pid"

    @property
    def log(self) -> Path:
        return self.folder / "versitygw.log"

    def exists(self) -> bool:
        return self.folder.is_dir()

    def is_on(self) -> bool:
        return processes.read_pid_file(self.pid_file) is not None

    def start(self, report: Report = to_stderr) -> None:
        """Return when it answers. MachineRoomError when it cannot be built or does not start."""
        try:
            program = go_build(SOURCE, "versitygw", package=PACKAGE, ldflags="-s -w", report=report)
        except ToolchainError as error:
            raise MachineRoomError(str(error)) from error
        # Metadata in files of its own: not every file system has extended attributes.
        buckets, metadata = self._buckets, self.folder / "metadata"
        for folder in (buckets, metadata, self.accounts):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        processes.start(
            [
                *inside(self.namespace),
                *(program, "--port", f"{self.address}:{PORT}", "--cert", self.certificate, "--key", self.key),
                *("--region", SIGNING_REGION, "--iam-dir", self.accounts, "--iam-cache-disable"),
                # Who holds a key of the store is no administrator of it: that has a socket of its own.
                *("--admin-port", f"@administrator-of-{self.host}"),
                *("posix", "--sidecar", metadata, buckets),
            ],
            pid_file=self.pid_file,
            log=self.log,
            # It wants an account that stands above all keys; nobody knows this one's secret.
            environment={
                **os.environ,
                "ROOT_ACCESS_KEY_ID": secrets.token_hex(8),
                "ROOT_SECRET_ACCESS_KEY": secrets.token_hex(32),
            },
        )
        until = time.monotonic() + READY_SECONDS
        while not self._answers():
            if not self.is_on() or time.monotonic() > until:
                tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-8:])
                raise MachineRoomError(f"{self.host} does not start (all of it in {self.log}):\n{tail}")
            time.sleep(processes.POLL_SECONDS)

    def stop(self) -> None:
        """End it; its buckets stay. One that does not run is no error."""
        processes.stop(self.pid_file)

    def make_bucket(self, name: str, key: AccessKey) -> None:
        """Make a bucket, as anybody can with `key`. MachineRoomError with the store's words when it refuses."""
        signed = (
            *("--aws-sigv4", f"aws:amz:{SIGNING_REGION}:s3", "--config", "-"),
            *("--header", f"x-amz-content-sha256: {hashlib.sha256().hexdigest()}"),
        )
        command = self._curl("--write-out", "%{http_code}", *signed, "--request", "PUT", f"https://{self.host}/{name}")
        # On its standard input curl reads options: the secret is no argument of a process.
        answer = run(command, stdin=f'user = "{key.id}:{key.secret}"\n')
        if not answer.endswith("200"):
            # docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
            said = re.search(r"<Code>(.*?)</Code>.*?<Message>(.*?)</Message>", answer, re.DOTALL)
            why = f"{said[1]}: {said[2]}" if said else answer
            raise MachineRoomError(f"{self.host} does not make the bucket {name}: {why}")

    def objects(self, bucket: str) -> Iterator[tuple[str, int]]:
        """The key and the size in bytes of all that is in a bucket. MachineRoomError where there is none."""
        folder = self._buckets / bucket
        if not folder.is_dir():
            raise MachineRoomError(f"there is no bucket {bucket} at {self.host}")
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                yield str(path.relative_to(folder)), path.stat().st_size

    @property
    def _buckets(self) -> Path:
        return self.folder / "buckets"

    def _answers(self) -> bool:
        try:
            run(self._curl("--output", "/dev/null", f"https://{self.host}/"))
        except MachineRoomError:
            return False
        return True

    def _curl(self, *arguments: str) -> list[str]:
        there = ("--resolve", f"{self.host}:{PORT}:{self.address}", "--cacert", str(self.authority), "--noproxy", "*")
        return [*inside(self.namespace), "curl", "--silent", "--show-error", "--max-time", "10", *there, *arguments]
