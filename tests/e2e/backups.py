"""A seeded set of objects, and `bin/backup` and `bin/restore` as a person runs them."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.stack import CHECKOUT, LOCAL, Stack, run

PASSPHRASE = "correct horse battery staple"
#: The seeded set, by kind: 200 objects.
SEEDED = {
    **{"namespaces": 10, "configmaps": 60, "secrets": 60, "services": 20, "serviceaccounts": 20, "deployments": 19},
    **{"customresourcedefinitions": 1, "widgets.example.com": 10},
}
KINDS = ",".join(SEEDED)
PLAIN = "plainly-visible"
CRD = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.example.com", "labels": {"seeded": "yes"}},
    "spec": {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"plural": "widgets", "singular": "widget", "kind": "Widget"},
        "versions": [
            {
                **{"name": "v1", "served": True, "storage": True},
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer"}}}},
                    }
                },
            }
        ],
    },
}


def seed(stack: Stack) -> None:
    """200 objects of the kinds that people have, in ten namespaces."""
    objects: list[dict[str, Any]] = [CRD]

    def add(kind: str, number: int, version: str = "v1", **rest: Any) -> None:
        metadata = {"name": f"seed-{number:02}", "labels": {"seeded": "yes"}}
        if kind != "Namespace":
            metadata["namespace"] = f"seed-{number % SEEDED['namespaces']:02}"
        objects.append({"apiVersion": version, "kind": kind, "metadata": metadata, **rest})

    for number in range(SEEDED["namespaces"]):
        add("Namespace", number)
    for number in range(SEEDED["configmaps"]):
        add("ConfigMap", number, data={"text": f"{PLAIN} {number} ä\t\\x", "large": "x" * 5000})
    for number in range(SEEDED["secrets"]):
        add("Secret", number, stringData={"text": f"{PLAIN} {number}"})
    for number in range(SEEDED["services"]):
        add("Service", number, spec={"selector": {"app": f"seed-{number:02}"}, "ports": [{"port": 80}]})
    for number in range(SEEDED["serviceaccounts"]):
        add("ServiceAccount", number)
    for number in range(SEEDED["deployments"]):
        app = {"app": f"seed-{number:02}"}
        pod = {
            "metadata": {"labels": {**app, "tier": "web"}},
            "spec": {"containers": [{"name": "c", "image": "nginx"}]},
        }
        spec = {"replicas": 1, "selector": {"matchLabels": app}, "template": pod}
        add("Deployment", number, "apps/v1", spec=spec)
    for number in range(SEEDED["widgets.example.com"]):
        add("Widget", number, "example.com/v1", spec={"size": number})
    assert len(objects) == sum(SEEDED.values()) == 200
    stack.kubectl("apply", "--server-side", "--filename", "-", stdin=yaml.safe_dump(CRD))
    stack.kubectl("wait", "--for=condition=Established", "crd/widgets.example.com", "--timeout=30s")
    stack.kubectl("apply", "--server-side", "--filename", "-", stdin=yaml.safe_dump_all(objects))


def seeded(stack: Stack) -> dict[str, Any]:
    """The seeded objects: what they are, without what controllers write of them."""
    listed = json.loads(stack.kubectl("get", KINDS, "-A", "-l", "seeded=yes", "-o", "json").stdout)["items"]
    return {
        "/".join((item["kind"], item["metadata"].get("namespace", ""), item["metadata"]["name"])): (
            item["metadata"]["uid"],
            item.get("data"),
            item.get("spec"),
        )
        for item in listed
    }


def folder_with_passphrase(factory: pytest.TempPathFactory) -> Path:
    """A folder for backups, with PASSPHRASE in its file `passphrase`."""
    made = factory.mktemp("backup")
    (made / "passphrase").write_text(PASSPHRASE + "\n")
    return made


def backup(stack: Stack, folder: Path) -> Path:
    file = folder / f"{stack.name}.backup"
    began = time.monotonic()
    done = run(
        *(LOCAL, "bin/backup", str(file), "--stack", stack.name),
        K3S_BACKUP_PASSPHRASE_FILE=str(folder / "passphrase"),
    )
    print(f"\n{done.stdout.strip()} ({time.monotonic() - began:.1f} s)")
    return file


def restore(stack: Stack, file: Path, folder: Path, passphrase: str = "passphrase", check: bool = True) -> str:
    began = time.monotonic()
    done = run(
        *(LOCAL, "bin/restore", str(file), "--stack", stack.name, "--yes"),
        check=check,
        K3S_BACKUP_PASSPHRASE_FILE=str(folder / passphrase),
    )
    print(f"\nbin/restore into {stack.name}: {time.monotonic() - began:.1f} s")
    return done.stdout


def start_restore(stack: Stack, file: Path, folder: Path) -> subprocess.Popen[str]:
    """`bin/restore`, under way, in a process group of its own."""
    return subprocess.Popen(
        [LOCAL, "bin/restore", str(file), "--stack", stack.name, "--yes"],
        cwd=CHECKOUT,
        env={**os.environ, "K3S_BACKUP_PASSPHRASE_FILE": str(folder / "passphrase")},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def living_nodes(stack: Stack) -> dict[str, bool]:
    outputs = stack.outputs()
    return {node["name"]: True for node in (*outputs["servers"], *outputs["agents"])}


def require_all_back(stack: Stack, seen: dict[str, Any]) -> None:
    """Every object is there as it was, and kubectl works with the new kubeconfig and knows living nodes only."""
    assert len(seen) == 200
    assert seeded(stack) == seen
    assert stack.kubectl("get", "configmap", "later", check=False).returncode != 0
    assert stack.kubectl("config", "current-context").stdout.strip() == stack.name
    assert stack.nodes() == living_nodes(stack)
