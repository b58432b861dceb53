"""Pulumi's own releases, checked against their checksums, in the cache: the CLI with its like, and resource plugins.

The checksums come from the host that the archives come from. They show that an archive is whole and is what the release
has; who made the release they do not show. The releases' digests are not in this repository because they cannot be
had where it is written, without the internet; SDKs and plugin packages do not bring them either.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import tarfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from local_cloud.toolchain.cache import ensure_folder
from local_cloud.toolchain.download import DownloadError, HostSilentError, Patience, save, text_at
from local_cloud.toolchain.go import ToolchainError
from local_cloud.toolchain.progress import Report, step

#: pulumi/pulumi v3.259.0: sdk/go/common/workspace/plugins.go:233 (plugins), .github/workflows/release.yml:151 (the CLI)
ROOT = "https://get.pulumi.com/releases"
VARIABLE = "LOCAL_CLOUD_DOWNLOADS"

#: Names of the machine in the CLI's archives, and in plugins' (Go's).
CLI_MACHINES = {"x86_64": "x64", "aarch64": "arm64"}
PLUGIN_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}

#: Hexadecimal digits of a digest -> its algorithm. The CLI's are SHA-256 (pulumi/pulumi .github/workflows/sign.yml:99);
#: plugins' are what `shasum` makes, SHA-1 (.github/workflows/publish.yml:99 of pulumi-digitalocean and pulumi-random).
ALGORITHMS = {40: "sha1", 64: "sha256"}


@dataclass(frozen=True)
class Release:
    """An archive, the file with its checksums beside it, and the program in it that is wanted."""

    folder: str
    archive: str
    checksums: str
    program: str

    @property
    def name(self) -> str:
        return self.archive.removesuffix(".tar.gz")


def cli_release(version: str) -> Release:
    """The CLI. Its archive has a folder `pulumi` with all programs: pulumi/pulumi .github/workflows/sign.yml:81."""
    archive = f"pulumi-v{version}-linux-{_machine(CLI_MACHINES)}.tar.gz"
    return Release("sdk", archive, f"pulumi-{version}-checksums.txt", "pulumi")


def plugin_release(name: str, version: str) -> Release:
    """A resource plugin: pulumi/pulumi sdk/go/common/workspace/plugins.go:214; for its checksums see ALGORITHMS."""
    program = f"pulumi-resource-{name}"
    archive = f"{program}-v{version}-linux-{_machine(PLUGIN_MACHINES)}.tar.gz"
    return Release("plugins", archive, f"pulumi-{name}_{version}_checksums.txt", program)


class PulumiReleases:
    """The host of the releases. `required`: what cannot be had from it is an error, and nothing takes its place."""

    def __init__(self, root: str, patience: Patience | None = None, required: bool = False) -> None:
        self.required = required
        self._root = root
        self._patience = patience or Patience()
        self._silent: HostSilentError | None = None

    def ensure(self, release: Release, report: Report) -> Path:
        """The folder with the release's files. Raises `DownloadError` when it cannot be had, and `ToolchainError` when
        it is not what its checksums say. Until it is checked, nothing of it has a name that anybody would use."""

        def fill(draft: Path) -> None:
            url = f"{self._root}/{release.folder}/{release.archive}"
            wanted = digest_of(release.archive, text_at(f"{self._root}/{release.folder}/{release.checksums}", patience))
            archive = draft / f"{release.archive}.part"
            with step(f"{release.name}: download", report):
                save(url, archive, patience)
            check(archive, wanted, url)
            unpack(archive, draft, release.program)
            archive.unlink()

        patience = self._patience
        if self._silent:
            raise self._silent
        try:
            return ensure_folder(release.name, fill)
        except HostSilentError as error:
            self._silent = error
            raise

    def ensure_or_none(self, release: Release, report: Report, instead: str) -> Path | None:
        """As `ensure`, but None after one line that says why, and that `instead` is what comes instead."""
        try:
            return self.ensure(release, report)
        except DownloadError as error:
            if self.required:
                raise ToolchainError(
                    f"{release.name} could not be downloaded: {error}; {VARIABLE} is 1, which allows nothing else"
                ) from error
            report(f"{release.name} could not be downloaded: {error}; {instead} ({VARIABLE}=0 does not even try)")
            return None


def releases_allowed() -> PulumiReleases | None:
    """The host of the releases as the user wants it: None where LOCAL_CLOUD_DOWNLOADS is 0, required where it is 1."""
    said = os.environ.get(VARIABLE, "")
    if said not in ("", "0", "1"):
        raise ToolchainError(
            f"{VARIABLE} is {said!r}: 0 is for tools from package registries alone, 1 for Pulumi's own or none, "
            "and unset for Pulumi's own where they can be had"
        )
    return None if said == "0" else PulumiReleases(ROOT, required=said == "1")


def digest_of(archive: str, checksums: str) -> str:
    """The digest of `archive` in a list as sha256sum and shasum write it. Raises `DownloadError`."""
    found = re.search(rf"^([0-9a-f]+) [ *](?:\./)?{re.escape(archive)}$", checksums, re.MULTILINE)
    if not found or len(found[1]) not in ALGORITHMS:
        raise DownloadError(f"its release's list of checksums has none for {archive}")
    return found[1]


def check(archive: Path, wanted: str, url: str) -> None:
    """Refuse, and remove, an archive that has another digest."""
    with archive.open("rb") as file:
        actual = hashlib.file_digest(file, ALGORITHMS[len(wanted)]).hexdigest()
    if actual != wanted:
        archive.unlink()
        raise ToolchainError(
            f"{url} was downloaded whole, but is not what its release has: {ALGORITHMS[len(wanted)].upper()} {actual}, "
            f"not {wanted}. Somebody may have changed it: it was removed, and nothing of it was used. Try again later, "
            f"or take tools from package registries alone: {VARIABLE}=0"
        )


def unpack(archive: Path, folder: Path, program: str) -> None:
    """Put the archive's files into `folder`, by their last names alone, so that none can land elsewhere."""
    try:
        with tarfile.open(archive, "r:gz") as content:
            for member in content:
                source = content.extractfile(member) if member.isfile() else None
                if source is None:
                    continue
                target = folder / PurePosixPath(member.name).name
                with target.open("wb") as output:
                    while chunk := source.read(1 << 20):
                        output.write(chunk)
                target.chmod(0o755 if member.mode & 0o100 else 0o644)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise DownloadError(f"{archive.name} cannot be unpacked ({error})") from error
    if not os.access(folder / program, os.X_OK):
        raise DownloadError(f"{archive.name} has no program {program} in it")


def _machine(names: dict[str, str]) -> str:
    """What the releases call this machine; where there are none for it, the host has no such file."""
    return names.get(platform.machine(), platform.machine())
