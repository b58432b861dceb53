"""SSH to a node whose host key is known beforehand."""

from __future__ import annotations

import base64
import contextlib
import io
import select
import shlex
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import paramiko

from k3s_cluster.over_ssh.progress import Progress

#: A droplet answers SSH within a minute as a rule; ten leave room for a bad day.
SSH_DEADLINE_SECONDS = 600
#: A server that answers at all answers within seconds; the dead must not hold up the others.
OTHER_SERVER_SECONDS = 10
CONNECT_TIMEOUT_SECONDS = 10
RETRY_SECONDS = 1
_PIECE_BYTES = 1 << 18
#: How much of a command's output an error shows, in lines.
TAIL_LINES = 20


class NodeError(Exception):
    """Something on a node did not go as it should: the message says where, what, and what to do."""


class HostKeyError(NodeError):
    """The host answered with a key that is not the one the stack planted."""


@dataclass(frozen=True)
class SshTarget:
    """Where to connect, what to prove, and what the other side must prove. `host_key` is one public key line."""

    host: str
    private_key: str = field(repr=False)
    host_key: str
    user: str = "root"
    port: int = 22


class Connection:
    """An open SSH connection; use it as a context manager. Get one from `connect`."""

    def __init__(self, client: paramiko.SSHClient, target: SshTarget) -> None:
        self._client = client
        self.target = target

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._client.close()

    def run(self, *command: str, stdin: str = "", timeout: float = 60) -> str:
        """Standard output of `command`. Secrets go in by `stdin`, never by argument. Raises NodeError if it fails."""
        status, output, errors = self.attempt(*command, stdin=stdin, timeout=timeout)
        if status != 0:
            said = _tail(errors.strip() or output.strip())
            raise NodeError(f"`{_shown(command)}` on {self.target.host} ended with {status}:\n{said}")
        return output

    def attempt(self, *command: str, stdin: str | Iterable[bytes] = "", timeout: float = 60) -> tuple[int, str, str]:
        """Exit status, output and errors of `command`. Raises NodeError if it takes over `timeout` seconds."""
        output = bytearray()
        status, errors = self._execute(command, _shown(command), stdin, output.extend, timeout)
        return status, output.decode(errors="replace"), errors

    def stream(self, *command: str, take: Callable[[bytes], object], timeout: float = 60) -> None:
        """Hand the output of `command` to `take`, in pieces. NodeError if it fails, or none comes for `timeout` s."""
        status, errors = self._execute(command, command[0], "", take, timeout)
        if status != 0:
            raise NodeError(f"`{command[0]}` on {self.target.host} ended with {status}:\n{_tail(errors.strip())}")

    def _execute(
        self,
        command: Sequence[str],
        shown: str,
        stdin: str | Iterable[bytes],
        take: Callable[[bytes], object],
        timeout: float,
    ) -> tuple[int, str]:
        """Run `command`, which messages call `shown`; its exit status and errors."""
        channel = None
        try:
            incoming, outgoing, failing = self._client.exec_command(shlex.join(command), timeout=timeout)
            channel = outgoing.channel
            for piece in [stdin] if isinstance(stdin, str) else stdin:
                incoming.write(piece)
            channel.shutdown_write()
            while piece := outgoing.read(_PIECE_BYTES):
                take(piece)
            errors = failing.read().decode(errors="replace")
            return channel.recv_exit_status(), errors
        except TimeoutError:
            raise NodeError(f"`{shown}` on {self.target.host} took over {timeout:.0f} s") from None
        except (OSError, paramiko.SSHException, EOFError) as error:
            raise NodeError(f"the connection to {self.target.host} broke: {_reason(error)}") from error
        finally:
            if channel is not None:
                channel.close()

    def read_file(self, path: str) -> str | None:
        """The text of a file, or None where there is none."""
        status, output, _ = self.attempt("cat", path)
        return output if status == 0 else None

    def write_file(self, path: str, text: str, mode: str = "0600") -> bool:
        """Make `path` hold `text`, owned by root, in one step. True if that changed it."""
        changed = self.read_file(path) != text
        # The file is never there half written, and never readable by others in between.
        script = 'umask 077; mkdir -p "$(dirname "$1")"; cat > "$1.new" && chmod "$2" "$1.new" && mv "$1.new" "$1"'
        self.run("sh", "-c", script, "write", path, mode, stdin=text)
        return changed

    def put_file(self, path: str, pieces: Iterable[bytes], sha256: str, timeout: float) -> None:
        """Make `path` hold `pieces`, for root only, in one step when all of them are there, as their digest says."""
        script = (
            'umask 077; mkdir -p "$(dirname "$1")"; cat > "$1.new"'
            ' && echo "$2  $1.new" | sha256sum --check --quiet && sync "$1.new" && mv "$1.new" "$1"'
        )
        status, output, errors = self.attempt(*("sh", "-c", script, "put", path, sha256), stdin=pieces, timeout=timeout)
        if status != 0:
            raise NodeError(f"{path} could not be written on {self.target.host}:\n{_tail(errors or output)}")

    @contextlib.contextmanager
    def tunnel(self, host: str, port: int) -> Iterator[socket.socket]:
        """A socket whose other end is a connection from the node to `host`:`port`; no port opens on this machine."""
        transport = self._client.get_transport()
        if transport is None:
            raise NodeError(f"the connection to {self.target.host} is closed")
        try:
            channel = transport.open_channel(
                "direct-tcpip", (host, port), ("127.0.0.1", 0), timeout=CONNECT_TIMEOUT_SECONDS
            )
        except paramiko.SSHException as error:
            raise NodeError(f"{self.target.host} cannot reach {host}:{port}: {_reason(error)}") from error
        ours, theirs = socket.socketpair()
        pump = threading.Thread(target=_pump, args=(theirs, channel), daemon=True)
        pump.start()
        try:
            yield ours
        finally:
            ours.close()
            channel.close()
            pump.join(timeout=CONNECT_TIMEOUT_SECONDS)


def target_of(props: Mapping[str, Any], host: Mapping[str, Any]) -> SshTarget:
    """`host`, which has `host` and `host_key`, by the stack's key, which is in a node's `props`."""
    return SshTarget(host=host["host"], host_key=host["host_key"], private_key=props["private_key"])


def connect(target: SshTarget, progress: Progress, deadline_seconds: float = SSH_DEADLINE_SECONDS) -> Connection:
    """A connection to `target`, waiting until it answers.

    Raises HostKeyError at once if another key than the planted one answers, NodeError after `deadline_seconds`.
    """
    deadline = time.monotonic() + deadline_seconds
    while True:
        progress("waiting for SSH")
        try:
            return _connect_once(target)
        except paramiko.BadHostKeyException as error:
            raise HostKeyError(
                f"{target.host} answered SSH with another host key than the one this stack gave it "
                f"({error.key.get_base64()[:32]}... instead of {error.expected_key.get_base64()[:32]}...). Either "
                "another machine has that address now, or someone listens in. Nothing was sent. If you rebuilt the "
                "droplet yourself, destroy it and run `pulumi up --refresh`, which makes it anew."
            ) from None
        # At first boot sshd answers before cloud-init has put the keys in place, so a refusal may pass.
        except (OSError, paramiko.SSHException, EOFError) as error:
            if time.monotonic() >= deadline:
                raise NodeError(
                    f"{target.host} did not let us in by SSH within {deadline_seconds:.0f} s ({_reason(error)}). Look "
                    "at the droplet's console, and at adminCidrs: they must hold the address you come from."
                ) from None
        time.sleep(RETRY_SECONDS)


def _connect_once(target: SshTarget) -> Connection:
    client = paramiko.SSHClient()
    kind, encoded = target.host_key.split()[:2]
    known = paramiko.PKey.from_type_string(kind, base64.b64decode(encoded))
    client.get_host_keys().add(_known_name(target), kind, known)
    client.set_missing_host_key_policy(paramiko.RejectPolicy())
    try:
        client.connect(
            target.host,
            port=target.port,
            username=target.user,
            pkey=paramiko.Ed25519Key.from_private_key(io.StringIO(target.private_key)),
            timeout=CONNECT_TIMEOUT_SECONDS,
            banner_timeout=CONNECT_TIMEOUT_SECONDS,
            auth_timeout=CONNECT_TIMEOUT_SECONDS,
            allow_agent=False,
            look_for_keys=False,
        )
    except BaseException:
        client.close()
        raise
    return Connection(client, target)


def _known_name(target: SshTarget) -> str:
    return target.host if target.port == 22 else f"[{target.host}]:{target.port}"


_Pipe = socket.socket | paramiko.Channel


def _pump(near: socket.socket, far: paramiko.Channel) -> None:
    """Carry bytes both ways until one side ends."""
    ways: tuple[tuple[_Pipe, _Pipe], ...] = ((near, far), (far, near))
    with contextlib.suppress(OSError, EOFError), near:
        while True:
            ready, _, _ = select.select([near.fileno(), far.fileno()], [], [])
            for source, sink in ways:
                if source.fileno() not in ready:
                    continue
                data = source.recv(65536)
                if not data:
                    return
                sink.sendall(data)


def _reason(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _shown(command: Sequence[str]) -> str:
    """A command as messages show it: of a whole script its name and arguments."""
    return shlex.join(command[3:] if tuple(command[:2]) == ("sh", "-c") and len(command) > 3 else command)


def _tail(text: str) -> str:
    return "\n".join(text.splitlines()[-TAIL_LINES:])
