"""What must hold of an overlap, and the day on which it must hold: annotators, leases that run out, and the oracle.

`bench.overlap` plays it with threads that call the verbs, `bench.overlap_http` with clients of the real web server.
What the clients were told is the oracle: everything acknowledged is stored once, as it was chosen, and no pair has more
or fewer judgements than the project asks for.
"""

from __future__ import annotations

import hashlib
import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

SLUG = "overlap"
CHOICES = ["a3", "a2", "a1", "same", "b1", "b2", "b3", "bad", "skip"]
# The lease of a pair in hand, ended before its time.
END_LEASE = """
UPDATE assignment SET lease_until = now() - interval '1 ms'
WHERE id = %s AND lease_until IS NOT NULL AND annotator_id = (SELECT id FROM annotator WHERE user_id = %s)
"""


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
    # Whom kill -9 takes, in this order and spread over the round; over HTTP only.
    lives: tuple[str, ...] = ()

    @property
    def expected(self) -> int:
        return self.pairs * self.overlap


@dataclass
class Log:
    """What the clients saw."""

    acknowledged: list[tuple[uuid.UUID, int, str]] = field(default_factory=list)
    # The keys of answers that came too late.
    refused: list[uuid.UUID] = field(default_factory=list)
    disconnects: int = 0
    repeated: int = 0
    swept: int = 0
    faults: list[str] = field(default_factory=list)


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


# ---- the day ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sent:
    """An answer as a client sends it, as often as it takes."""

    assignment_id: int
    key: uuid.UUID
    control: str
    skip_reason: str
    text: str


@dataclass(frozen=True, slots=True)
class Reply:
    """Whether the answer is stored, and the assignment that came with the reply."""

    stored: bool
    next: int | None


class Over(Exception):
    """The round ended while a client waited for a reply."""


class Client(threading.Thread):
    """An annotator with a bad connection and a wandering mind. How it speaks to the product is up to its kinds."""

    # Seconds before it looks again, where nothing was handed out; and before it comes back to a lease that ran out.
    pause, dawdle = 0.02, 0.05

    def __init__(self, user_id: int, plan: Plan, log: Log, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self.user_id, self.plan, self.log, self.stop = user_id, plan, log, stop
        self.dice = random.Random(plan.seed * 1_000_003 + user_id)

    def hand_out(self) -> list[int]:
        """The assignments in hand."""
        raise NotImplementedError

    def submit(self, sent: Sent, held: Sequence[int]) -> Reply:
        """Send an answer until there is a reply."""
        raise NotImplementedError

    def end_lease(self, assignment_id: int) -> None:
        raise NotImplementedError

    def leave(self) -> None:
        """Close what is open."""

    def run(self) -> None:
        try:
            while not self.stop.is_set():
                self.work()
        except Over:
            pass
        except Exception as error:  # Whatever it is, it is a finding.
            self.log.faults.append(f"{type(error).__name__}: {error}")
        finally:
            self.leave()

    def work(self) -> None:
        waiting = self.hand_out()
        if not waiting:
            time.sleep(self.pause)
            return
        while waiting and not self.stop.is_set():
            assignment_id = waiting.pop(0)
            if self.dice.random() < self.plan.abandoned:
                self.end_lease(assignment_id)
                time.sleep(self.dice.random() * self.dawdle)
                if self.dice.random() < 0.5:
                    return  # And never comes back to what it held.
            following = self.answer(assignment_id, waiting)
            if following is not None and following not in waiting:
                waiting.append(following)

    def answer(self, assignment_id: int, held: Sequence[int]) -> int | None:
        key = uuid.UUID(int=self.dice.getrandbits(128), version=4)
        control = self.dice.choice(CHOICES)
        sent = Sent(
            assignment_id=assignment_id,
            key=key,
            control=control,
            skip_reason="expertise" if control == "skip" else "",
            text="because" if self.dice.random() < 0.3 else "",
        )
        told_stored = False
        while True:
            reply = self.submit(sent, held)
            if not reply.stored:
                self.log.refused.append(key)
                if told_stored:
                    self.log.faults.append(f"{key} was told to be stored, and refused when it was sent again.")
                return reply.next
            told_stored = True
            if self.dice.random() >= self.plan.lost_answers:
                break
            self.log.repeated += 1  # The answer came, and the client never saw it.
        self.log.acknowledged.append((key, assignment_id, control))
        return reply.next


class Sweeper(threading.Thread):
    """Hands back what ran out, twenty times a second."""

    pause = 0.05

    def __init__(self, log: Log, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self.log, self.stop = log, stop

    def run(self) -> None:
        from django.db import connection

        while not self.stop.wait(self.pause):
            self.sweep()
        connection.close()

    def sweep(self) -> None:
        from annotation import opening

        self.log.swept += opening.sweep()


def wait_until_judged(
    plan: Plan, clients: Sequence[threading.Thread], *, is_over: Callable[[], bool] = lambda: False
) -> None:
    """Until every slot is judged, every client has ended, it is over, or the round's deadline has come.

    The connection that looks may be killed like any other.
    """
    from django.db import InterfaceError, OperationalError, connection

    deadline = time.monotonic() + plan.deadline
    while time.monotonic() < deadline and any(client.is_alive() for client in clients) and not is_over():
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT count(*) FROM judgement WHERE is_current")
                if cursor.fetchone()[0] >= plan.expected:
                    return
        except (OperationalError, InterfaceError):
            connection.close()
        time.sleep(0.1)


# ---- the oracle ------------------------------------------------------------------------------------------------------


@dataclass
class Findings:
    """What the database says at the end. Everything that `wrong` counts must be 0."""

    judgements: int
    swapped: int
    over: int
    under: int
    same_annotator_twice: int
    slot_twice: int
    done_without_judgement: int
    acknowledged_missing: int
    stored_otherwise: int
    # Refused, and stored all the same: by a try that was under way elsewhere. Seldom, and neither lost nor double.
    refused_yet_stored: int
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
        refused_yet_stored=sum(key in stored for key in log.refused),
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


def drop_constraints() -> None:
    """In the throw-away database that Django's default connection points at."""
    from django.db import connection

    with connection.cursor() as cursor:
        for statement in UNGUARDED.strip().split(";\n"):
            cursor.execute(statement.rstrip(";"))


def take_locks_out() -> Callable[[], None]:
    """The same code without its locks, in this process. Returns what puts them back."""
    from annotation import assigning

    usual = assigning.submit_statement, assigning.CLAIM

    def careless(**parts: bool) -> str:
        statement = usual[0](**parts)
        for with_guard, without in CARELESS:
            assert with_guard in statement, (
                f"The statement has no {with_guard!r} any more: the control controls nothing."
            )
            statement = statement.replace(with_guard, without)
        return statement

    def put_back() -> None:
        assigning.submit_statement, assigning.CLAIM = usual

    assigning.submit_statement = careless  # type: ignore[assignment]
    for with_guard, without in CARELESS:
        assigning.CLAIM = assigning.CLAIM.replace(with_guard, without)
    return put_back


@contextmanager
def without_locks_and_constraints() -> Iterator[None]:
    """Inside a throw-away database: the same code with its guards taken away."""
    drop_constraints()
    put_back = take_locks_out()
    try:
        yield
    finally:
        put_back()
