"""Folders of built things, shared by all checkouts, each named by a key of what it was made from."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from local_cloud import paths


def key_of(parts: Iterable[str | bytes]) -> str:
    """A short name for `parts` in their order: the same parts give the same key."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big"))
        digest.update(data)
    return digest.hexdigest()[:16]


def contents_of(folder: Path) -> Iterator[str | bytes]:
    """Names and contents of all files below `folder`, as parts for `key_of`; hidden files do not count."""
    for file in sorted(folder.rglob("*")):
        relative = file.relative_to(folder)
        if file.is_file() and not any(part.startswith(".") or part == "__pycache__" for part in relative.parts):
            yield str(relative)
            yield file.read_bytes()


@contextmanager
def exclusive(name: str, waiting: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold the lock called `name` among all processes on this machine that share the cache."""
    locks = paths.CACHE / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    with (locks / name).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if waiting:
                waiting()
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def ensure_folder(
    name: str, fill: Callable[[Path], None], *, lock: str | None = None, waiting: Callable[[], None] | None = None
) -> Path:
    """The cache's folder `name`. If it is missing, `fill` fills a new one, which gets its name only when complete.

    `lock` is the lock to hold meanwhile; by default one of its own. `waiting` is called once if somebody else has it.
    """
    folder = paths.CACHE / name
    if folder.is_dir():
        return folder
    with exclusive(lock or name, waiting):
        if folder.is_dir():
            return folder
        draft = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=paths.CACHE))
        try:
            fill(draft)
            draft.chmod(0o755)
            draft.rename(folder)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
    return folder


def place(source: Path, target: Path) -> None:
    """Put the file `source` at `target` as a hard link (a copy across file systems), replacing what is there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists() and not target.is_symlink() and target.samefile(source):
        return
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    try:
        draft.hardlink_to(source)
    except OSError:
        shutil.copy2(source, draft)
    draft.replace(target)


def symlink(source: Path, target: Path) -> None:
    """Make `target` a symbolic link to `source`, replacing what is there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_symlink() and target.readlink() == source:
        return
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    draft.symlink_to(source)
    draft.replace(target)
