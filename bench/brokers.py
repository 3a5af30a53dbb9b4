"""Real brokers for tests and benchmarks: started on ports of their own, killed, started again, emptied, stopped.

Each keeps its state in the folder it is given and runs as whoever starts it. Debian's packages are redis-server and
rabbitmq-server; `.ci/brokers` installs them where it can.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any, Protocol

# A busy machine may take its time.
PATIENCE = 90.0
RABBITMQ = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")


class Broker(Protocol):
    """`url` and `options` are what Celery wants: the broker's address and its transport's options."""

    name: str
    url: str
    options: dict[str, Any]
    # None: there is no process that could be killed.
    process: subprocess.Popen[bytes] | None

    def start(self) -> None: ...

    def kill(self) -> None:
        """kill -9 of everything that belongs to it."""
        ...

    def empty(self) -> None:
        """Everything that it holds is gone."""
        ...

    def stop(self) -> None: ...


def missing(name: str) -> str:
    """Why this broker cannot be started here; empty when it can."""
    if name == "redis" and shutil.which("redis-server") is None:
        return "Redis is not here. On Debian: apt-get install redis-server"
    if name == "rabbitmq" and not (RABBITMQ.exists() and shutil.which("epmd")):
        return "RabbitMQ is not here. On Debian: apt-get install rabbitmq-server"
    return ""


def broker(name: str, folder: Path) -> Broker:
    kinds: dict[str, type[Any]] = {"filesystem": Folders, "redis": Redis, "rabbitmq": RabbitMQ}
    made: Broker = kinds[name](folder)
    return made


class Folders:
    """The embedded default: a message is a file."""

    name = "filesystem"
    url = "filesystem://localhost"
    process: subprocess.Popen[bytes] | None = None

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        messages = os.fspath(folder / "messages")
        self.options: dict[str, Any] = {
            "data_folder_in": messages,
            "data_folder_out": messages,
            "control_folder": os.fspath(folder / "control"),
        }

    def start(self) -> None:
        for name in ("messages", "control"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)

    def kill(self) -> None:
        raise NotImplementedError("There is no process to kill.")

    def empty(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def stop(self) -> None:
        self.empty()


class _Server:
    """A broker that is a process."""

    name = ""
    command: list[str]
    environment: dict[str, str]

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port = free_port()
        self.options: dict[str, Any] = {}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                cwd=self.folder,
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + PATIENCE
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"{self.name} did not start:\n{(self.folder / 'log').read_text()[-2000:]}")
            time.sleep(0.1)

    def answers(self) -> bool:
        raise NotImplementedError

    def kill(self) -> None:
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def stop(self) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


class Redis(_Server):
    name = "redis"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.environment = {}
        # Nothing is written to a disk: what it held is gone with it, which is the worst case for a broker.
        self.command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        self.command += ["--appendonly", "no", "--dir", os.fspath(folder), "--daemonize", "no"]

    def answers(self) -> bool:
        return self._say(b"PING") == b"+PONG\r\n"

    def empty(self) -> None:
        if self._say(b"FLUSHALL") != b"+OK\r\n":
            raise RuntimeError("Redis could not be emptied.")

    def _say(self, word: bytes) -> bytes:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as line:
                line.sendall(word + b"\r\n")
                return line.recv(100)
        except OSError:
            return b""


class RabbitMQ(_Server):
    name = "rabbitmq"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.url = f"amqp://guest:guest@127.0.0.1:{self.port}//"
        (folder / "rabbitmq.conf").write_text(f"listeners.tcp.1 = 127.0.0.1:{self.port}\n")
        (folder / "plugins").write_text("[].\n")
        names = str(free_port())
        self.environment = {
            "HOME": os.fspath(folder),  # The cookie lies there.
            "ERL_EPMD_PORT": names,
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"plumbline{self.port}@localhost",
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_MNESIA_BASE": os.fspath(folder / "data"),
            "RABBITMQ_LOG_BASE": os.fspath(folder / "logs"),
            "RABBITMQ_CONFIG_FILE": os.fspath(folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": os.fspath(folder / "plugins"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none -kernel inet_dist_use_interface {127,0,0,1}",
        }
        # Its name server belongs to it and dies with it: one that was left would hold a port for ever.
        serve = f"epmd -port {names} -address 127.0.0.1 & exec {RABBITMQ}"
        self.command = ["sh", "-c", serve]

    def answers(self) -> bool:
        import amqp

        with contextlib.suppress(OSError, amqp.AMQPError), self._connection():
            return True
        return False

    def empty(self) -> None:
        """Every queue of Celery's is purged."""
        with self._connection() as connection:
            for queue in ("cpu", "gpu"):
                channel = connection.channel()
                with contextlib.suppress(OSError, Exception):
                    channel.queue_purge(queue)

    def _connection(self) -> Any:
        import amqp

        return amqp.Connection(host=f"127.0.0.1:{self.port}", userid="guest", password="guest", connect_timeout=5)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
