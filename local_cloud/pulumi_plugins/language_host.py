"""pulumi-language-python: runs Python programs for the engine.

Protocol: https://github.com/pulumi/pulumi/blob/v3.259.0/proto/pulumi/language.proto. Every Run starts a fresh
interpreter, because `pulumi up` runs the program twice in one host: for the preview and for the update.
"""

# ruff: noqa: ARG002 - gRPC gives every method a request and a context.
from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import json_format
from pulumi.runtime.proto import language_pb2, language_pb2_grpc, plugin_pb2

from local_cloud.pulumi_plugins import installed_packages, program
from local_cloud.pulumi_plugins.serving import serve


def serve_language_host(engine: str) -> None:
    """Serve until the engine ends us. `engine` is the address that programs log to."""
    host = LanguageHost(engine)
    serve(lambda server: language_pb2_grpc.add_LanguageRuntimeServicer_to_server(host, server), host.stop)


class MissingEnvironment(Exception):
    """The project names a virtual environment that is not there."""


class LanguageHost(language_pb2_grpc.LanguageRuntimeServicer):
    """The calls that the CLI makes for a program. Code generation and plugins written in Python are not offered."""

    def __init__(self, engine: str) -> None:
        self.engine = engine
        self.running: set[subprocess.Popen[bytes]] = set()
        self.lock = threading.Lock()

    def stop(self) -> None:
        """End the programs that still run."""
        with self.lock:
            running = list(self.running)
        for process in running:
            process.send_signal(signal.SIGINT)

    def Handshake(self, request: Any, context: grpc.ServicerContext) -> Any:
        self.engine = request.engine_address or self.engine
        return language_pb2.LanguageHandshakeResponse()

    def GetPluginInfo(self, request: Any, context: grpc.ServicerContext) -> Any:
        return plugin_pb2.PluginInfo(version=version("pulumi"))

    def Cancel(self, request: Any, context: grpc.ServicerContext) -> Any:
        self.stop()
        return request

    def GetRequiredPlugins(self, request: Any, context: grpc.ServicerContext) -> Any:
        return language_pb2.GetRequiredPluginsResponse()

    def GetRequiredPackages(self, request: Any, context: grpc.ServicerContext) -> Any:
        """The plugins of the SDKs that are installed in the project's environment."""
        packages = []
        for package in self.packages(request.info, context):
            if plugin := package["plugin"]:
                wanted = plugin.get("version") or package["version"]
                packages.append(
                    plugin_pb2.PackageDependency(
                        name=plugin.get("name") or package["name"].removeprefix("pulumi-").removeprefix("pulumi_"),
                        kind="resource",
                        version=f"v{wanted.removeprefix('v')}",
                        server=plugin.get("server", ""),
                    )
                )
        return language_pb2.GetRequiredPackagesResponse(packages=packages)

    def GetProgramDependencies(self, request: Any, context: grpc.ServicerContext) -> Any:
        dependencies = [
            language_pb2.DependencyInfo(name=package["name"], version=package["version"])
            for package in self.packages(request.info, context)
        ]
        return language_pb2.GetProgramDependenciesResponse(dependencies=dependencies)

    def About(self, request: Any, context: grpc.ServicerContext) -> Any:
        python = self.python(request.info, context)
        said = subprocess.run([python, "--version"], check=True, capture_output=True, text=True).stdout
        return language_pb2.AboutResponse(
            executable=str(python), version=said.split()[-1], metadata={"toolchain": "pip", "host": "local cloud"}
        )

    def RuntimeOptionsPrompts(self, request: Any, context: grpc.ServicerContext) -> Any:
        return language_pb2.RuntimeOptionsResponse()

    def Template(self, request: Any, context: grpc.ServicerContext) -> Any:
        return language_pb2.TemplateResponse()

    def InstallDependencies(self, request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        """Make the project's virtual environment, if it has one, and install requirements.txt into it."""
        directory = Path(request.info.program_directory)
        environment = virtual_environment(request.info)
        commands = []
        if environment and not (environment / "bin" / "python").exists():
            commands.append([sys.executable, "-m", "venv", str(environment)])
        python = environment / "bin" / "python" if environment else project_python(request.info)
        if (directory / "requirements.txt").is_file():
            commands.append([str(python), "-m", "pip", "install", "-r", "requirements.txt"])
        for command in commands:
            with subprocess.Popen(command, cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
                for line in process.stdout or ():
                    yield language_pb2.InstallDependenciesResponse(stdout=line)
            if process.returncode:
                context.abort(grpc.StatusCode.INTERNAL, f"{' '.join(command)} failed with {process.returncode}")

    def Run(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Run the program; its output is ours, so the engine shows it."""
        python = self.python(request.info, context)
        process = subprocess.Popen([python, "-u", "-P", program.__file__], stdin=subprocess.PIPE)
        with self.lock:
            self.running.add(process)
        context.add_callback(lambda: process.send_signal(signal.SIGINT) if process.poll() is None else None)
        try:
            process.communicate(json.dumps(self.program_request(request)).encode())
        finally:
            with self.lock:
                self.running.discard(process)
        if process.returncode == program.EXIT_SAID:
            return language_pb2.RunResponse(bail=True)
        if process.returncode < 0:
            return language_pb2.RunResponse(error=f"program ended by {signal.Signals(-process.returncode).name}")
        if process.returncode:
            return language_pb2.RunResponse(error=f"program exited with non-zero exit code: {process.returncode}")
        return language_pb2.RunResponse()

    def program_request(self, request: Any) -> dict[str, Any]:
        """What program.py reads on its stdin."""
        return {
            "config": dict(request.config),
            "config_secret_keys": list(request.configSecretKeys),
            "settings": {
                "project": request.project,
                "stack": request.stack,
                "monitor": request.monitor_address,
                "engine": self.engine,
                "parallel": request.parallel,
                "dry_run": request.dryRun,
                "organization": request.organization,
                "root_directory": request.info.root_directory,
            },
            "directory": request.pwd,
            "program": request.info.entry_point or ".",
            "arguments": list(request.args),
        }

    def packages(self, info: Any, context: grpc.ServicerContext) -> list[dict[str, Any]]:
        python = self.python(info, context)
        if python.samefile(sys.executable) and python.parent == Path(sys.executable).parent:
            return installed_packages.installed_packages()
        command = [str(python), "-P", installed_packages.__file__]
        found: list[dict[str, Any]] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        return found

    def python(self, info: Any, context: grpc.ServicerContext) -> Path:
        try:
            return project_python(info)
        except MissingEnvironment as error:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
            raise  # abort always raises; this tells the type checker


def virtual_environment(info: Any) -> Path | None:
    """The folder that `runtime.options.virtualenv` in Pulumi.yaml names, if any."""
    options = json_format.MessageToDict(info.options)
    named = options.get("virtualenv")
    return Path(info.root_directory, named) if isinstance(named, str) and named else None


def project_python(info: Any) -> Path:
    """The project's interpreter: of its virtual environment, else `python3` on PATH, else ours."""
    environment = virtual_environment(info)
    if environment is None:
        return Path(shutil.which("python3") or sys.executable)
    python = environment / "bin" / "python"
    if not os.access(python, os.X_OK):
        raise MissingEnvironment(
            f"Pulumi.yaml names the virtual environment {environment}, which is not there: run `pulumi install`, or"
            f" `python3 -m venv {environment}` and `{python} -m pip install -r requirements.txt`"
        )
    return python
