"""Writes Pulumi.NAME.yaml: `python -m new_stack NAME [TOPOLOGY]`. Asks nothing; ends with 2 where it is refused."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

from k3s_cluster.settings import SettingsError, parse_settings
from k3s_cluster.settings.defaults import DECLARED, defaults
from new_stack import stack_file

CHECKOUT = Path(__file__).resolve().parents[1]
#: pulumi.com/docs/iac/concepts/stacks/#create-stack
STACK_NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}"
WRITTEN, REFUSED = 0, 2


class Unreadable(Exception):
    """Another stack's file is not one."""


def main(arguments: Sequence[str], folder: Path = CHECKOUT) -> int:
    """Write the file into `folder`, and say what to do next."""
    name, topology = [*arguments, "", ""][:2]
    if not name:
        return _refuse("it needs a name: make stack NAME=prod TOPOLOGY=ha")
    if not re.fullmatch(STACK_NAME, name):
        return _refuse(
            f"NAME: `{name}` is no stack's name; use letters, digits, `-`, `_` and `.`, a letter or digit first"
        )
    file = folder / f"Pulumi.{name}.yaml"
    there = f"{file.name} is there already; edit it, or choose another NAME"
    if file.exists():
        return _refuse(there)
    program = yaml.safe_load(DECLARED.read_text(encoding="utf-8"))
    project, declared = program["name"], program["config"]
    try:
        others = stack_file.taken(declared, [_config(other, project) for other in sorted(folder.glob("Pulumi.*.yaml"))])
        chosen = {
            "topology": topology or declared["topology"]["default"],
            "namePrefix": stack_file.free_prefix(name, others),
            "vpcCidr": str(stack_file.free_range(others)),
        }
        parse_settings({**defaults(), **chosen}, stack=name, folder=folder)
    except SettingsError as error:
        return _refuse("\n  ".join(error.problems).replace("topology:", "TOPOLOGY:", 1))
    except (stack_file.NoRoom, Unreadable) as error:
        return _refuse(str(error))
    text = stack_file.text(name, project, chosen, declared)
    try:
        with file.open("x", encoding="utf-8") as new:
            new.write(text)
    except FileExistsError:
        return _refuse(there)
    except OSError as error:
        return _refuse(f"{file.name} cannot be written ({error.strerror}); what there is of it can be removed")
    print(f"{file.name} is written: {', '.join(f'{key} {value}' for key, value in chosen.items())}.")
    print("Look at adminCidrs in it: until you name your own networks, everyone may try SSH and the API.")
    print(f"Next: pulumi stack init {name}, then pulumi up (on the local cloud, each with bin/local before it).")
    return WRITTEN


def _config(file: Path, project: str) -> dict[str, object]:
    """The project's own settings in another stack's file."""
    try:
        read = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
        return {key.removeprefix(f"{project}:"): value for key, value in (read.get("config") or {}).items()}
    except (OSError, UnicodeDecodeError, yaml.YAMLError, AttributeError):
        raise Unreadable(f"{file.name} cannot be read as a stack's file; mend it, or put it elsewhere") from None


def _refuse(reason: str) -> int:
    print(f"make stack: {reason}", file=sys.stderr)
    return REFUSED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
