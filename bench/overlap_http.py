"""The overlap over HTTP: the page's own requests to the web server as it is run in production, and kill -9.

The day is that of `bench.overlap` (bench/exactness.py), the same oracle included. What is different:

- Each client is a browser's page: a socket that is kept open, a session, `GET judge` for what it holds, `POST judge`
  for an answer, sent again with the same key until there is a reply. 409 is a reply; 503 is not, where the database is
  killed. Any other status is a fault.
- One request in ten loses its connection at a random moment: while it is sent, or before its reply was read.
- Lives are taken with SIGKILL, spread over the round: a process of the web server, which starts another in its place; a
  process of the database in the middle of a statement of the web server's, whereupon PostgreSQL ends all others and
  recovers; the web server as a whole, which is then started again. Each is done by a client whose own request was sent
  and has no byte of a reply yet, so that at least one was in flight.

Nothing else may use that PostgreSQL meanwhile: it would lose its connections too.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import queue
import random
import re
import select
import signal
import socket
import struct
import sys
import threading
import time
import urllib.parse
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.exactness import (
    END_LEASE,
    SLUG,
    Client,
    Findings,
    Log,
    Over,
    Plan,
    Reply,
    Sent,
    Sweeper,
    drop_constraints,
    fill,
    look,
    wait_until_judged,
)
from bench.harness import family
from bench.serving import WEB, WebServer, session_of

CSRF = "b" * 32
# As long as the page waits for a reply, in seconds.
PATIENCE = 15.0
# A connection is cut, and a life taken, at most so many seconds after the request was sent.
LATEST_CUT, LATEST_KILL = 0.1, 0.005
# Of the requests that are cut, so many are cut before all of them is sent.
CUT_WHILE_SENT = 0.2
# Whose lives are taken in a full round. Between two workers comes another: the server takes two deaths of one worker
# within seconds for a program that cannot start, and ends.
LIVES = ("worker", "backend", "server", "worker", "backend", "server")
QUICK_LIVES = LIVES[:3]
HELD_FIRST = re.compile(rb'name="assignment" value="(\d+)"')
HELD_NEXT = re.compile(rb'<script id="upcoming" type="application/json">(.*?)</script>', re.DOTALL)
# What the web server has under way in the database.
AT_WORK = """
SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = %s AND state = 'active'
"""


@dataclass
class HttpLog(Log):
    """Besides: connections that broke without our doing, replies 503, lives taken, requests in flight at that time."""

    broken: int = 0
    unavailable: int = 0
    killed_workers: int = 0
    killed_backends: int = 0
    killed_servers: int = 0
    in_flight_at_kills: int = 0
    in_flight: set[int] = field(default_factory=set)


# ---- the clients -----------------------------------------------------------------------------------------------------


class CutError(OSError):
    """We cut the connection ourselves."""


class Page(Client):
    """A browser's judging page."""

    log: HttpLog
    pause, dawdle = 0.2, 0.2

    def __init__(
        self,
        user_id: int,
        plan: Plan,
        log: HttpLog,
        stop: threading.Event,
        *,
        session: str,
        reaper: Reaper,
        landlord: Landlord,
    ) -> None:
        super().__init__(user_id, plan, log, stop)
        self.session, self.reaper, self.landlord = session, reaper, landlord
        self.link: socket.socket | None = None

    def hand_out(self) -> list[int]:
        status, body = self.ask("GET")
        if status != 200:
            raise RuntimeError(f"GET judge: {status}: {body[:300]!r}")
        held = [int(first) for first in HELD_FIRST.findall(body)[:1]]
        for upcoming in HELD_NEXT.findall(body):
            held += [item["assignment"] for item in json.loads(upcoming)]
        return held

    def submit(self, sent: Sent, held: Sequence[int]) -> Reply:
        form = [
            ("assignment", sent.assignment_id),
            ("key", sent.key),
            ("verdict", sent.control),
            ("skip_reason", sent.skip_reason),
            ("note", sent.text),
            *(("held", one) for one in held),
        ]
        status, body = self.ask("POST", urllib.parse.urlencode(form))
        if status not in (200, 409):
            raise RuntimeError(f"POST judge: {status}: {body[:300]!r}")
        said = json.loads(body)
        if status == 200 and said["saved"]["assignment"] != sent.assignment_id:
            raise RuntimeError(f"{sent.assignment_id} was sent, and another is called saved: {body[:300]!r}")
        return Reply(stored=status == 200, next=said["item"]["assignment"] if said.get("item") else None)

    def end_lease(self, assignment_id: int) -> None:
        self.landlord.due.put((assignment_id, self.user_id))

    def leave(self) -> None:
        self.hang_up()

    def ask(self, method: str, body: str = "") -> tuple[int, bytes]:
        """Status and body of the reply. Where there is none, the same is sent again."""
        head = [
            f"{method} /p/{SLUG}/judge HTTP/1.1",
            f"Host: 127.0.0.1:{self.reaper.server.port}",
            f"Cookie: plumbline={self.session}; plumbline_csrf={CSRF}",
        ]
        if method == "POST":
            head += ["X-Plumbline: 1", f"X-CSRFToken: {CSRF}", "Content-Type: application/x-www-form-urlencoded"]
            head.append(f"Content-Length: {len(body)}")
        request = "\r\n".join([*head, "", body]).encode()
        while True:
            try:
                status, said = self.exchange(request, method)
            except CutError:
                self.log.disconnects += 1
            except (OSError, http.client.HTTPException) as error:
                # Nobody listens while the server is started again: nothing was in flight.
                self.log.broken += not isinstance(error, ConnectionRefusedError)
                time.sleep(0.05)
            else:
                if status != 503 or "backend" not in self.plan.lives:
                    return status, said
                self.log.unavailable += 1
                time.sleep(0.05)
            if self.stop.is_set():
                raise Over

    def exchange(self, request: bytes, method: str) -> tuple[int, bytes]:
        """One request, one reply. The connection is kept for the next one unless something went wrong."""
        try:
            if self.link is None:
                self.link = socket.create_connection(("127.0.0.1", self.reaper.server.port), timeout=PATIENCE)
                self.link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.log.in_flight.add(self.user_id)
            if self.dice.random() < self.plan.disconnects:
                self.send_and_cut(self.link, request)
            self.link.sendall(request)
            self.reaper.visit(self.link, self.dice)
            reply = http.client.HTTPResponse(self.link, method=method)
            with contextlib.closing(reply):
                reply.begin()
                status, body, is_last = reply.status, reply.read(), reply.will_close
        except (OSError, http.client.HTTPException):
            self.hang_up()
            raise
        finally:
            self.log.in_flight.discard(self.user_id)
        if is_last:
            self.hang_up()
        return status, body

    def send_and_cut(self, link: socket.socket, request: bytes) -> None:
        """Half of those that are cut end as a closed tab does, half as a machine that vanishes: with a reset."""
        if self.dice.random() < CUT_WHILE_SENT:
            link.sendall(request[: self.dice.randrange(1, len(request))])
        else:
            link.sendall(request)
            time.sleep(self.dice.uniform(0, LATEST_CUT))
        if self.dice.random() < 0.5:
            link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise CutError

    def hang_up(self) -> None:
        if self.link is not None:
            self.link.close()
            self.link = None


class Landlord(Sweeper):
    """Ends the leases that clients name, at once, and hands back what ran out, twenty times a second.

    Its own connection may be killed like any other.
    """

    def __init__(self, log: Log, stop: threading.Event) -> None:
        super().__init__(log, stop)
        self.due: queue.SimpleQueue[tuple[int, int]] = queue.SimpleQueue()

    def run(self) -> None:
        from django.db import InterfaceError, OperationalError, connection

        while not self.stop.is_set():
            try:
                self.end_leases(until=time.monotonic() + self.pause)
                self.sweep()
            except (OperationalError, InterfaceError) as error:
                if connection.is_usable():  # It was not the connection: a deadlock, for one.
                    self.log.faults.append(f"The sweeper: {type(error).__name__}: {error}")
                connection.close()
        connection.close()

    def end_leases(self, *, until: float) -> None:
        from django.db import connection

        while (left := until - time.monotonic()) > 0:
            with contextlib.suppress(queue.Empty):
                named = self.due.get(timeout=left)
                with connection.cursor() as cursor:
                    cursor.execute(END_LEASE, named)


# ---- kill -9 ---------------------------------------------------------------------------------------------------------


class Reaper:
    """Takes the plan's lives, one after the other, spread evenly over the round's judgements.

    Clients call it with a request that they have just sent. The first one for whom a life is due takes it.
    """

    def __init__(self, plan: Plan, log: HttpLog, server: WebServer) -> None:
        self.log, self.server = log, server
        # Each with the number of acknowledged answers from which on it is due.
        self.due = [(plan.expected * n // (len(plan.lives) + 1), life) for n, life in enumerate(plan.lives, start=1)]
        self.one_at_a_time = threading.Lock()

    def visit(self, link: socket.socket, dice: random.Random) -> None:
        if not self._is_due() or not self.one_at_a_time.acquire(blocking=False):
            return
        try:
            if not self._is_due():
                return
            time.sleep(dice.uniform(0, LATEST_KILL))
            if {"worker": self._worker, "backend": self._backend, "server": self._server}[self.due[0][1]](link, dice):
                self.due.pop(0)
        finally:
            self.one_at_a_time.release()

    def has_no_server(self) -> bool:
        """Whether it ended, and not because a client killed it and starts it again."""
        with self.one_at_a_time:
            return bool(self.server.ended_by_itself())

    def _is_due(self) -> bool:
        return bool(self.due) and len(self.log.acknowledged) >= self.due[0][0]

    def _is_in_flight(self, link: socket.socket) -> bool:
        """Whether the request that was just sent has no byte of a reply and its connection no end. Counts all such."""
        if select.select([link], [], [], 0)[0]:
            return False
        self.log.in_flight_at_kills += len(self.log.in_flight)
        return True

    def _worker(self, link: socket.socket, dice: random.Random) -> bool:
        worker = dice.choice(self.server.workers())
        if not self._is_in_flight(link):
            return False
        os.kill(worker, signal.SIGKILL)
        self.log.killed_workers += 1
        return True

    def _server(self, link: socket.socket, dice: random.Random) -> bool:
        if not self._is_in_flight(link):
            return False
        self.server.kill()
        self.log.killed_servers += 1
        self.server.start()
        return True

    def _backend(self, link: socket.socket, dice: random.Random) -> bool:
        """False where the web server had nothing under way in the database at that moment."""
        from django.db import connection

        from bench.next_and_submit import postmaster

        ours = family(postmaster())
        try:
            with connection.cursor() as cursor:
                cursor.execute(AT_WORK, [WEB])
                at_work = [pid for (pid,) in cursor.fetchall() if pid in ours]
        finally:
            connection.close()
        if not at_work or not self._is_in_flight(link):
            return False
        os.kill(dice.choice(at_work), signal.SIGKILL)
        self.log.killed_backends += 1
        return True


# ---- a round ---------------------------------------------------------------------------------------------------------


def play(plan: Plan, *, database: str, log_file: Path, control: bool = False) -> Findings:
    """One round on `database`, which Django's default connection points at and which is empty.

    With `control`, its constraints are dropped, and the web server runs without its locks.
    """
    from django.db import connection

    from annotation.models import User

    log, stop = HttpLog(), threading.Event()
    sessions = {user: session_of(User.objects.get(pk=user)) for user in fill(plan)}
    if control:
        drop_constraints()
    application = "bench.careless:application" if control else "config.wsgi:application"
    server = WebServer(database=database, log=log_file, workers=2, application=application)
    reaper, landlord = Reaper(plan, log, server), Landlord(log, stop)
    clients = [
        Page(user, plan, log, stop, session=session, reaper=reaper, landlord=landlord)
        for user, session in sessions.items()
    ]
    try:
        server.start()
        start = time.monotonic()
        for thread in (landlord, *clients):
            thread.start()
        wait_until_judged(plan, clients, is_over=reaper.has_no_server)
        seconds = time.monotonic() - start
        stop.set()
        for thread in (landlord, *clients):
            thread.join()
        if ended := server.ended_by_itself():
            log.faults.append(ended)
    finally:
        stop.set()
        server.end()
    connection.close()
    return look(plan, log, seconds)


def lives_to_take(*, quick: bool) -> tuple[str, ...]:
    """Those of a round; no process of a database that is not the embedded one.

    Raises:
        SystemExit: others use the embedded database. They would lose their connections.
    """
    from django.conf import settings
    from django.db import connections

    from config import embedded

    lives = QUICK_LIVES if quick else LIVES
    if not settings.EMBEDDED:
        print("DATABASE_URL is set: no process of the database is killed.", file=sys.stderr)
        return tuple(life for life in lives if life != "backend")
    connections.close_all()
    if others := embedded.cluster().others_connected():
        raise SystemExit(
            f"The embedded database has {others} other clients, who would lose their connections when one of its "
            "processes is killed. End them, or give the benchmark a database of its own: PLUMBLINE_VAR=FOLDER."
        )
    return lives
