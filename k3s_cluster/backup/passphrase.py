"""The passphrase of a backup: from a file or a prompt. Never an argument, which others can read."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Mapping
from pathlib import Path

from k3s_cluster.backup.backup_file import BackupError

FILE_VARIABLE = "K3S_BACKUP_PASSPHRASE_FILE"
LEAST_CHARACTERS = 8
_HOW = f"put it in a file, and the file's path in {FILE_VARIABLE}"


def given(environment: Mapping[str, str]) -> str | None:
    """The passphrase in the file that the environment names; None if it names none."""
    path = environment.get(FILE_VARIABLE)
    if not path:
        return None
    try:
        text = Path(path).expanduser().read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise BackupError(f"{FILE_VARIABLE} names `{path}`, which cannot be read ({reason})") from None
    if not text:
        raise BackupError(f"{FILE_VARIABLE} names `{path}`, which is empty; write the passphrase into it")
    return text


def to_open(environment: Mapping[str, str]) -> str:
    """The passphrase of a backup that is there. BackupError if nobody can be asked."""
    return given(environment) or _ask("Passphrase of the backup: ")


def to_make(environment: Mapping[str, str]) -> str:
    """The passphrase for a new backup; typed twice if it is typed. BackupError if it is too short to protect it."""
    passphrase = given(environment)
    if passphrase is None:
        passphrase = _ask("Passphrase for the backup: ")
        if passphrase != _ask("The same again: "):
            raise BackupError("the two passphrases differ; nothing was written")
    if len(passphrase) < LEAST_CHARACTERS:
        raise BackupError(
            f"the passphrase has fewer than {LEAST_CHARACTERS} characters; the backup holds every key of the cluster"
        )
    return passphrase


def to_restore(environment: Mapping[str, str]) -> str:
    """The passphrase for a run of Pulumi, which cannot ask. BackupError if the environment has none."""
    found = given(environment)
    if found is None:
        raise BackupError(
            f"needs the backup's passphrase: run `bin/restore`, which asks for it, or {_HOW}; or, if nothing was made "
            "yet and nothing is to be restored, `pulumi config rm restoreFile`"
        )
    return found


def _ask(prompt: str) -> str:
    if not sys.stdin.isatty():
        raise BackupError(f"there is no passphrase, and no terminal to ask for it: {_HOW}")
    try:
        return getpass.getpass(prompt)
    except EOFError:
        raise BackupError("no passphrase was given") from None
