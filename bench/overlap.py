"""Is the overlap exact? Many clients, one queue, and everything that goes wrong on a real day.

    python -m bench.overlap [--http] [--quick] [--rounds N] [--control]

50 clients, each a thread with its own connection, judge 1,000 pairs with overlap 3. One in ten acts loses its
connection at a random moment, some answers are lost after the commit, leases run out, a sweeper hands them back. What
the clients were told is the oracle: everything acknowledged is stored once, as it was chosen, and no pair has more or
fewer than three judgements. `--control` takes locks and constraints away; then the same harness must find faults.

`--http` plays the same day over sockets, against the web server, with kill -9 besides: bench/overlap_http.py.
"""

from __future__ import annotations

import argparse
import queue
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from bench import overlap_http
from bench.exactness import (
    END_LEASE,
    SLUG,
    Client,
    Findings,
    Log,
    Plan,
    Reply,
    Sent,
    Sweeper,
    fill,
    look,
    wait_until_judged,
    without_locks_and_constraints,
)
from bench.harness import report, set_up, throw_away_database

Result = TypeVar("Result")


class Caller(Client):
    """A client that calls the verbs over a connection of its own."""

    def __init__(self, user_id: int, plan: Plan, log: Log, vandal: Vandal, stop: threading.Event) -> None:
        super().__init__(user_id, plan, log, stop)
        self.vandal = vandal

    def hand_out(self) -> list[int]:
        from annotation import assigning

        held = self.through_disconnects(lambda: assigning.hand_out(user_id=self.user_id, slug=SLUG))
        return [one.assignment_id for one in held]

    def submit(self, sent: Sent, held: Sequence[int]) -> Reply:
        from annotation import judging

        shown = judging.Shown(
            assignment_id=sent.assignment_id,
            key=sent.key,
            control=sent.control,
            skip_reason=sent.skip_reason,
            text=sent.text,
        )
        try:
            outcome = self.through_disconnects(
                lambda: judging.submit_and_next(user_id=self.user_id, slug=SLUG, shown=shown, held=tuple(held))
            )
        except judging.LeaseLost:
            return Reply(stored=False, next=None)
        return Reply(stored=True, next=outcome.next.assignment_id if outcome.next else None)

    def through_disconnects(self, act: Callable[[], Result]) -> Result:
        """Do it until an answer comes; in one of ten cases the connection is cut at a random moment."""
        from django.db import InterfaceError, OperationalError, connection

        while True:
            connection.ensure_connection()
            if self.dice.random() < self.plan.disconnects:
                self.vandal.cut(connection.connection.info.backend_pid, after=self.dice.random() * 0.02)
            try:
                return act()
            except (OperationalError, InterfaceError):
                self.log.disconnects += 1
                connection.close()

    def end_lease(self, assignment_id: int) -> None:
        from django.db import OperationalError, connection

        try:
            with connection.cursor() as cursor:
                cursor.execute(END_LEASE, [assignment_id, self.user_id])
        except OperationalError:
            connection.close()

    def leave(self) -> None:
        from django.db import connection

        connection.close()


class Vandal(threading.Thread):
    """Ends other connections' server processes."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.orders: queue.Queue[tuple[float, int] | None] = queue.Queue()

    def cut(self, pid: int, *, after: float) -> None:
        self.orders.put((time.monotonic() + after, pid))

    def run(self) -> None:
        from django.db import connection

        while (order := self.orders.get()) is not None:
            when, pid = order
            time.sleep(max(0.0, when - time.monotonic()))
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_terminate_backend(%s)", [pid])
        connection.close()


def play(plan: Plan) -> Findings:
    """One round on the database that Django's default connection points at, which is empty."""
    users, log, stop, vandal = fill(plan), Log(), threading.Event(), Vandal()
    start = time.monotonic()
    clients = [Caller(user, plan, log, vandal, stop) for user in users]
    threads = [vandal, Sweeper(log, stop), *clients]
    for thread in threads:
        thread.start()
    wait_until_judged(plan, clients)
    seconds = time.monotonic() - start
    stop.set()
    vandal.orders.put(None)
    for thread in threads:
        thread.join()
    return look(plan, log, seconds)


def main() -> int:
    parser = argparse.ArgumentParser(description="Is the overlap exact?")
    parser.add_argument("--http", action="store_true", help="over sockets, against the web server, with kill -9")
    parser.add_argument("--quick", action="store_true", help="20 clients, 300 pairs")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--control", action="store_true", help="without locks and constraints; faults are expected")
    options = parser.parse_args()
    set_up()
    from config import embedded

    lives = overlap_http.lives_to_take(quick=options.quick) if options.http else ()
    deadline = 1800.0 if options.http else 15.0 if options.control else 300.0
    wrong = judgements = expected = 0
    sums: dict[str, float] = {}
    for seed in range(1, options.rounds + 1):
        size = {"clients": 20, "pairs": 300} if options.quick else {}
        plan = Plan(seed=seed, deadline=deadline, lives=lives, **size)
        with throw_away_database() as database:
            if options.http:
                log_file = embedded.var_folder() / "bench-overlap-web.log"
                found = overlap_http.play(plan, database=database, log_file=log_file, control=options.control)
            elif options.control:
                with without_locks_and_constraints():
                    found = play(plan)
            else:
                found = play(plan)
        wrong += found.wrong
        judgements += found.judgements
        expected += plan.expected
        counts = {"acknowledged": len(found.log.acknowledged), "late_refused": len(found.log.refused)}
        numbers = {**vars(found), **vars(found.log), **counts}
        for name, value in numbers.items():
            if isinstance(value, int | float):
                sums[name] = round(sums.get(name, 0) + value, 1)
        for fault in found.log.faults[:5]:
            print(fault, file=sys.stderr)
    report(
        name="overlap" + "_http" * options.http + "_control" * options.control,
        figure=wrong,
        unit="faults",
        compared_with=f"{expected} judgements expected",
        ratio=judgements / expected,
        rounds=options.rounds,
        **sums,
    )
    return 0 if bool(wrong) == options.control else 1


if __name__ == "__main__":
    raise SystemExit(main())
