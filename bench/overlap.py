"""Is the overlap exact? Many clients, one queue, and everything that goes wrong on a real day.

    python -m bench.overlap [--quick] [--rounds N] [--control]

50 clients, each a thread with its own connection, judge 1,000 pairs with overlap 3. One in ten acts loses its
connection at a random moment, some answers are lost after the commit, leases run out, a sweeper hands them back. What
the clients were told is the oracle: everything acknowledged is stored once, as it was chosen, and no pair has more or
fewer than three judgements. `--control` takes locks and constraints away; then the same harness must find faults.
"""

from __future__ import annotations

import argparse
import hashlib
import queue
import random
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from bench.harness import report, set_up, throw_away_database

SLUG = "overlap"
CHOICES = ["a3", "a2", "a1", "same", "b1", "b2", "b3", "bad", "skip"]


@dataclass(frozen=True)
class Plan:
    clients: int = 50
    pairs: int = 1000
    overlap: int = 3
    disconnects: float = 0.10
    lost_answers: float = 0.03
    abandoned: float = 0.10
    seed: int = 1
    deadline: float = 120.0


@dataclass
class Log:
    """What the clients saw."""

    acknowledged: list[tuple[uuid.UUID, int, str]] = field(default_factory=list)
    disconnects: int = 0
    late_refused: int = 0
    repeated: int = 0
    swept: int = 0
    faults: list[str] = field(default_factory=list)


@dataclass
class Findings:
    """What the database says at the end. Everything but `judgements` and `swapped` must be 0."""

    judgements: int
    swapped: int
    over: int
    under: int
    same_annotator_twice: int
    slot_twice: int
    done_without_judgement: int
    acknowledged_missing: int
    stored_otherwise: int
    log: Log
    seconds: float

    @property
    def wrong(self) -> int:
        return (
            self.over
            + self.under
            + self.same_annotator_twice
            + self.slot_twice
            + self.done_without_judgement
            + self.lost
        )

    @property
    def lost(self) -> int:
        return self.acknowledged_missing + self.stored_otherwise + len(self.log.faults)


def fill(plan: Plan) -> list[int]:
    """The project, its pairs and its annotators. Returns the account numbers."""
    from annotation import opening
    from annotation.models import Annotator, Candidate, Pair, Project, Prompt, User

    project = Project.objects.create(slug=SLUG, name="Overlap", overlap=plan.overlap, seed=plan.seed)
    prompt = Prompt.objects.create(project=project, messages=[{"role": "user", "content": "?"}], digest=b"overlap")
    candidates = Candidate.objects.bulk_create(
        Candidate(prompt=prompt, messages=[], digest=hashlib.sha256(str(n).encode()).digest())
        for n in range(2 * plan.pairs)
    )
    Pair.objects.bulk_create(
        Pair(project=project, prompt=prompt, first=candidates[2 * n], second=candidates[2 * n + 1], rank=n)
        for n in range(plan.pairs)
    )
    users = User.objects.bulk_create(User(email=f"client{n}@example.org", password="!") for n in range(plan.clients))
    Annotator.objects.bulk_create(Annotator(project=project, user=user, name=user.email) for user in users)
    opening.open_slots(project=project)
    return [user.pk for user in users]


class Client(threading.Thread):
    """An annotator with a bad connection and a wandering mind."""

    def __init__(self, user_id: int, plan: Plan, log: Log, vandal: Vandal, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self.user_id, self.plan, self.log, self.vandal, self.stop = user_id, plan, log, vandal, stop
        self.dice = random.Random(plan.seed * 1_000_003 + user_id)

    def run(self) -> None:
        from django.db import connection

        try:
            while not self.stop.is_set():
                self.work()
        except Exception as error:  # Whatever it is, it is a finding.
            self.log.faults.append(f"{type(error).__name__}: {error}")
        finally:
            connection.close()

    def work(self) -> None:
        from annotation import assigning

        held = self.through_disconnects(lambda: assigning.hand_out(user_id=self.user_id, slug=SLUG))
        if not held:
            time.sleep(0.02)
            return
        waiting = [one.assignment_id for one in held]
        while waiting and not self.stop.is_set():
            assignment_id = waiting.pop(0)
            if self.dice.random() < self.plan.abandoned:
                self.let_the_lease_run_out(assignment_id)
                if self.dice.random() < 0.5:
                    return  # And never comes back to what it held.
            following = self.answer(assignment_id, tuple(waiting))
            if following is not None and following not in waiting:
                waiting.append(following)

    def answer(self, assignment_id: int, held: tuple[int, ...]) -> int | None:
        from annotation import judging

        key = uuid.UUID(int=self.dice.getrandbits(128), version=4)
        control = self.dice.choice(CHOICES)
        shown = judging.Shown(
            assignment_id=assignment_id,
            key=key,
            control=control,
            skip_reason="expertise" if control == "skip" else "",
            text="because" if self.dice.random() < 0.3 else "",
        )
        while True:
            try:
                outcome = self.through_disconnects(
                    lambda: judging.submit_and_next(user_id=self.user_id, slug=SLUG, shown=shown, held=held)
                )
            except judging.LeaseLost:
                self.log.late_refused += 1
                return None
            if self.dice.random() >= self.plan.lost_answers:
                break
            self.log.repeated += 1  # The answer came, and the client never saw it.
        self.log.acknowledged.append((key, assignment_id, control))
        return outcome.next.assignment_id if outcome.next else None

    def through_disconnects(self, act: Any) -> Any:
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

    def let_the_lease_run_out(self, assignment_id: int) -> None:
        from django.db import OperationalError, connection

        aged = """UPDATE assignment SET lease_until = now() - interval '1 ms'
            WHERE id = %s AND lease_until IS NOT NULL
              AND annotator_id = (SELECT id FROM annotator WHERE user_id = %s)"""
        try:
            with connection.cursor() as cursor:
                cursor.execute(aged, [assignment_id, self.user_id])
        except OperationalError:
            connection.close()
        time.sleep(self.dice.random() * 0.05)


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


class Sweeper(threading.Thread):
    def __init__(self, log: Log, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self.log, self.stop = log, stop

    def run(self) -> None:
        from django.db import connection

        from annotation import opening

        while not self.stop.wait(0.05):
            self.log.swept += opening.sweep()
        connection.close()


def play(plan: Plan) -> Findings:
    """One round on the database that Django's default connection points at, which is empty."""
    from django.db import connection

    users, log, stop, vandal = fill(plan), Log(), threading.Event(), Vandal()
    start = time.monotonic()
    threads = [vandal, Sweeper(log, stop), *(Client(user, plan, log, vandal, stop) for user in users)]
    for thread in threads:
        thread.start()
    with connection.cursor() as cursor:
        while time.monotonic() - start < plan.deadline and any(thread.is_alive() for thread in threads[2:]):
            cursor.execute("SELECT count(*) FROM judgement WHERE is_current")
            if cursor.fetchone()[0] >= plan.pairs * plan.overlap:
                break
            time.sleep(0.1)
    seconds = time.monotonic() - start
    stop.set()
    vandal.orders.put(None)
    for thread in threads:
        thread.join()
    return look(plan, log, seconds)


def look(plan: Plan, log: Log, seconds: float) -> Findings:
    from django.db import connection

    from annotation.answering import CONTROLS, turned
    from annotation.models import Judgement

    def count(statement: str) -> int:
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return int(cursor.fetchone()[0])

    judged = "SELECT j.*, x.pair_id FROM judgement j JOIN assignment x ON x.id = j.assignment_id WHERE j.is_current"
    per_pair = f"SELECT p.id, count(j.id) AS n FROM pair p LEFT JOIN ({judged}) j ON j.pair_id = p.id GROUP BY p.id"
    stored = {row.key: row for row in Judgement.objects.all()}
    missing, otherwise = 0, 0
    for key, assignment_id, control in log.acknowledged:
        row = stored.get(key)
        if row is None:
            missing += 1
        elif (row.assignment_id, row.verdict, turned(row.strength, swapped=row.swapped)) != (
            assignment_id,
            *CONTROLS[control],
        ):
            otherwise += 1
    return Findings(
        judgements=count("SELECT count(*) FROM judgement WHERE is_current"),
        swapped=count("SELECT count(*) FROM judgement WHERE is_current AND swapped"),
        over=count(f"SELECT count(*) FROM ({per_pair}) c WHERE n > {plan.overlap}"),
        under=count(f"SELECT count(*) FROM ({per_pair}) c WHERE n < {plan.overlap}"),
        same_annotator_twice=count(
            f"SELECT count(*) FROM (SELECT 1 FROM ({judged}) j GROUP BY pair_id, annotator_id HAVING count(*) > 1) c"
        ),
        slot_twice=count(
            f"SELECT count(*) FROM (SELECT 1 FROM ({judged}) j GROUP BY assignment_id HAVING count(*) > 1) c"
        ),
        done_without_judgement=count(
            "SELECT count(*) FROM assignment x WHERE done_at IS NOT NULL"
            " AND NOT EXISTS (SELECT 1 FROM judgement j WHERE j.assignment_id = x.id AND j.is_current)"
        ),
        acknowledged_missing=missing,
        stored_otherwise=otherwise,
        log=log,
        seconds=seconds,
    )


# ---- the control -----------------------------------------------------------------------------------------------------

# Every lock, and the look at the lease under it, taken out of the statements.
CARELESS = [
    ("FOR NO KEY UPDATE OF a", ""),
    ("FOR UPDATE OF s SKIP LOCKED", ""),
    ("AND x.annotator_id = me.id AND x.done_at IS NULL", ""),
]
# The constraints that would answer; plain indexes in their place, so that the control is as fast as the real thing.
UNGUARDED = """
ALTER TABLE assignment DROP CONSTRAINT never_twice, DROP CONSTRAINT open_leased_or_done;
ALTER TABLE judgement DROP CONSTRAINT one_revision, DROP CONSTRAINT once;
DROP INDEX one_current_judgement;
CREATE INDEX ON assignment (pair_id, annotator_id);
CREATE INDEX ON judgement (assignment_id, revision);
"""


@contextmanager
def without_locks_and_constraints() -> Iterator[None]:
    """Inside a throw-away database: the same code with its guards taken away."""
    from django.db import connection

    from annotation import assigning

    with connection.cursor() as cursor:
        for statement in UNGUARDED.strip().split(";\n"):
            cursor.execute(statement.rstrip(";"))
    usual = assigning.submit_statement, assigning.CLAIM

    def careless(**parts: bool) -> str:
        statement = usual[0](**parts)
        for with_guard, without in CARELESS:
            assert with_guard in statement, (
                f"The statement has no {with_guard!r} any more: the control controls nothing."
            )
            statement = statement.replace(with_guard, without)
        return statement

    assigning.submit_statement = careless  # type: ignore[assignment]
    for with_guard, without in CARELESS:
        assigning.CLAIM = assigning.CLAIM.replace(with_guard, without)
    try:
        yield
    finally:
        assigning.submit_statement, assigning.CLAIM = usual


def main() -> int:
    parser = argparse.ArgumentParser(description="Is the overlap exact?")
    parser.add_argument("--quick", action="store_true", help="20 clients, 300 pairs")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--control", action="store_true", help="without locks and constraints; faults are expected")
    options = parser.parse_args()
    set_up()
    wrong = judgements = expected = 0
    sums: dict[str, float] = {}
    for seed in range(1, options.rounds + 1):
        size = {"clients": 20, "pairs": 300} if options.quick else {}
        plan = Plan(seed=seed, deadline=15.0 if options.control else 300.0, **size)
        with throw_away_database():
            if options.control:
                with without_locks_and_constraints():
                    found = play(plan)
            else:
                found = play(plan)
        wrong += found.wrong
        judgements += found.judgements
        expected += plan.pairs * plan.overlap
        numbers = {**vars(found), **vars(found.log), "acknowledged": len(found.log.acknowledged)}
        for name, value in numbers.items():
            if isinstance(value, int | float):
                sums[name] = round(sums.get(name, 0) + value, 1)
        for fault in found.log.faults[:5]:
            print(fault)
    report(
        name="overlap_control" if options.control else "overlap",
        figure=wrong,
        unit="faults",
        compared_with=f"{expected} judgements expected",
        ratio=judgements / expected,
        **sums,
    )
    return 0 if bool(wrong) == options.control else 1


if __name__ == "__main__":
    raise SystemExit(main())
