"""Builds K3s releases and lays them out as the static site behind get.k3s.io."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from local_cloud import paths
from local_cloud.toolchain.cache import ensure_folder, key_of, place
from local_cloud.toolchain.go import ToolchainError, folder_name, go_build
from local_cloud.toolchain.progress import Report, to_stderr

HERE = Path(__file__).resolve().parent

#: The default is what `stable` means. Every release is the same Kubernetes (program/go.mod) under another version
#: number: enough to rehearse an upgrade, and said so in README.
VERSIONS = ("v1.36.4+k3s1",)
#: Versions that can be published too, for upgrades from and to the default.
OTHER_VERSIONS = ("v1.35.6+k3s1", "v1.36.3+k3s1", "v1.36.5+k3s1")

#: Names of what uname calls the machine, as in K3s's release files: (file suffix, name of the checksum file).
ARCHITECTURES: Mapping[str, tuple[str, str]] = {"x86_64": ("", "amd64"), "aarch64": ("-arm64", "arm64")}

_VERSION = re.compile(r"v(\d+)\.(\d+)\.\d+\+k3s\d+")


def publish(folder: Path, versions: Sequence[str] = VERSIONS, *, report: Report = to_stderr) -> None:
    """Make `folder` the site: the installer, one release per version, and the channels. Other releases there stay.

    Raises `ToolchainError` if something cannot be built, and ValueError for what is no K3s version.
    """
    suffix, architecture = _architecture()
    for version in versions:
        release = build(version, report=report)
        target = folder / "releases" / "download" / version
        place(release, target / f"k3s{suffix}")
        digest = (release.parent / "sha256").read_text()
        _write(target / f"sha256sum-{architecture}.txt", f"{digest}  k3s{suffix}\n")
    # As https://update.k3s.io/v1-release/channels/<channel> does, a channel names a version; here as the file's text.
    for channel, version in channels(published(folder)).items():
        _write(folder / "channels" / channel, f"{version}\n")
    place(HERE / "installer" / "install.sh", folder / "install.sh")


def build(version: str, *, report: Report = to_stderr) -> Path:
    """The k3s executable of one release from the cache or built."""
    # cgo is for SQLite, which kine brings.
    program = go_build(HERE / "program", "k3s", ldflags=_ldflags(version), cgo=True, report=report)

    def add(draft: Path) -> None:
        place(program, draft / "k3s")
        with program.open("rb") as file:
            (draft / "sha256").write_text(hashlib.file_digest(file, "sha256").hexdigest())

    return ensure_folder(f"k3s-release-{key_of([str(program)])}", add) / "k3s"


def is_built(version: str, go_version: str) -> bool:
    """Whether the cache has what `build` would build."""
    name = folder_name(HERE / "program", "k3s", ldflags=_ldflags(version), cgo=True, go_version=go_version)
    return (paths.CACHE / name).is_dir()


def _ldflags(version: str) -> str:
    match = _VERSION.fullmatch(version)
    if not match:
        raise ValueError(f"{version} is no K3s version, which looks like {VERSIONS[0]}")
    major, minor = match.groups()
    where = "k8s.io/component-base/version"
    values = {"gitVersion": version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    # ELF symbols for a dynamic linker are 33 MB of nothing that a program of Go needs.
    flags = "-s -w -extldflags=-Wl,--no-export-dynamic"
    return " ".join([flags, *(f"-X {where}.{name}={value}" for name, value in values.items())])


def published(folder: Path) -> list[str]:
    """The versions that `folder` has releases of, lowest first."""
    found = (folder / "releases" / "download").glob("v*")
    return sorted((path.name for path in found if _VERSION.fullmatch(path.name)), key=_numbers)


def channels(versions: Sequence[str]) -> dict[str, str]:
    """What each channel of docs.k3s.io/upgrades/manual#release-channels means among `versions`, lowest first."""
    if not versions:
        return {}
    found = {f"v{_numbers(version)[0]}.{_numbers(version)[1]}": version for version in versions}
    found["latest"] = versions[-1]
    found["stable"] = VERSIONS[0] if VERSIONS[0] in versions else versions[-1]
    return found


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version.replace("+k3s", ".")))


def _architecture() -> tuple[str, str]:
    machine = os.uname().machine
    if machine not in ARCHITECTURES:
        raise ToolchainError(f"K3s is not built for {machine} here, only for {', '.join(ARCHITECTURES)}")
    return ARCHITECTURES[machine]


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text)
    draft.replace(path)
