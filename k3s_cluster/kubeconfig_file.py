"""The person's own kubeconfig, on this machine: where it is, and how it is changed so that nobody's part gets lost."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from k3s_cluster import kubeconfig
from k3s_cluster.kubeconfig import KubeconfigError

#: How long another program that changes the file is waited for; each needs milliseconds.
LOCK_SECONDS = 30
LOCK_RETRY_SECONDS = 0.05


def of_person(own: Path) -> Path:
    """The file that contexts are merged into: the first that KUBECONFIG names, else ~/.kube/config.

    `own` is the stack's own kubeconfig: where KUBECONFIG begins with it, nothing is to be merged, and the next counts.
    """
    named = [Path(name).expanduser() for name in os.environ.get("KUBECONFIG", "").split(os.pathsep) if name]
    others = (file.absolute() for file in named if file.resolve() != own.resolve())
    return next(others, Path.home() / ".kube" / "config")


def refuse_taken_name(file: Path, name: str, owner: str) -> None:
    """Raise KubeconfigError if `file` could not take a context called `name`. A missing file can."""
    kubeconfig.refuse_taken_name(_read(file), name, owner)
    _refuse_other_than_backup(backup_of(file.resolve(), name))


def refuse_foreign(own: Path, owner: str) -> None:
    """Raise KubeconfigError if something else than `owner`'s own kubeconfig is at `own`. A missing file is none."""
    kubeconfig.refuse_foreign(_read(own), owner)


def write_own(own: Path, text: str, owner: str) -> None:
    """Write the kubeconfig `text` to `own`. KubeconfigError if what is there is not `owner`'s. A link stays a link."""
    refuse_foreign(own, owner)
    write_private(own.resolve(), text)


def remove_own(own: Path, owner: str) -> None:
    """Remove `own`, if it is there; of a link, what it points to. KubeconfigError if it is not `owner`'s."""
    refuse_foreign(own, owner)
    own.resolve().unlink(missing_ok=True)


def merge(file: Path, own: str, owner: str) -> None:
    """Put the context of the kubeconfig `own` into `file`, which is made if it is missing."""
    name: str = yaml.safe_load(own)["current-context"]
    _change(file, name, lambda text: kubeconfig.merge(text, own, owner))


def unmerge(file: Path, name: str, owner: str) -> None:
    """Take `owner`'s context called `name` out of `file` again, if both are there."""
    if file.exists():
        _change(file, name, lambda text: kubeconfig.unmerge(text, name, owner))


def write_private(path: Path, text: str) -> None:
    """Write `text` to `path`, mode 0600, in one step."""
    descriptor, new = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        Path(new).replace(path)
    except BaseException:
        Path(new).unlink()
        raise


def backup_of(file: Path, name: str) -> Path:
    """Where `file` is kept as it was before the stack's last change of it."""
    return file.with_name(f"{file.name}.before-{name}")


def _change(file: Path, name: str, change: Callable[[str], str]) -> None:
    # A link stays a link: what it points to is replaced.
    file = file.resolve()
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(file):
        before = _read(file)
        after = change(before)
        if after != before:
            if file.exists():
                copy = backup_of(file, name)
                _refuse_other_than_backup(copy)
                write_private(copy, before)
            write_private(file, after)


def _refuse_other_than_backup(file: Path) -> None:
    try:
        there = kubeconfig.is_one(_read(file))
    except KubeconfigError:
        there = False
    if not there:
        raise KubeconfigError(f"{file} is there, where a copy of it is kept, and is no kubeconfig: move it away")


def _read(file: Path) -> str:
    # A device or a pipe would be replaced by a file, and reading it may never end.
    if file.exists() and not file.is_file():
        raise KubeconfigError("it is there, and is not a file")
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise KubeconfigError(f"it cannot be read ({error}); mend it, or move it away") from None


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Hold kubectl's own lock, so that `kubectl config` and other stacks wait or fail instead of losing our change.

    A file beside it that only one can make: k8s.io/client-go/tools/clientcmd/config.go, `lockFile`.
    """
    lock = file.with_name(f"{file.name}.lock")
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            os.close(os.open(lock, os.O_CREAT | os.O_EXCL, 0))
            break
        except FileExistsError:
            if time.monotonic() >= deadline:
                raise KubeconfigError(
                    f"{lock} is there for {LOCK_SECONDS} s; if no kubectl or pulumi is at work, remove it"
                ) from None
        except OSError as error:
            raise KubeconfigError(f"{lock} cannot be made ({error.strerror}); mend that") from None
        time.sleep(LOCK_RETRY_SECONDS)
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
