"""Slots, leases, claims: what assigning.py promises, and the ORM form that says the same more slowly."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import OuterRef, Q, Subquery
from django.utils import timezone

from annotation import assigning, opening, statements
from annotation.models import Annotator, Assignment, Draft, Judgement, Pair, Project, User
from tests.locks import until_somebody_waits

pytestmark = pytest.mark.django_db

MakePair = Callable[..., Pair]


def claim(who: Annotator) -> Any:
    """The number of the claimed assignment, or None."""
    taken = assigning.claim(user_id=account(who), slug=who.project.slug)
    return taken.assignment_id if taken else None


def account(who: Annotator) -> int:
    assert who.user_id is not None
    return who.user_id


def finish(assignment_id: int, **said: Any) -> None:
    """Mark as judged, with the judgement that belongs to it."""
    row = Assignment.objects.get(pk=assignment_id)
    assert row.annotator_id is not None
    Assignment.objects.filter(pk=assignment_id).update(done_at=timezone.now(), lease_until=None)
    said = {"verdict": "tie", "strength": 0} | said
    Judgement.objects.create(assignment=row, annotator_id=row.annotator_id, key=_key(), swapped=row.swapped, **said)


def _key() -> Any:
    import uuid

    return uuid.uuid4()


def expire(**which: Any) -> None:
    # Long ago: inside a test the database's now() stands still at the beginning of its transaction.
    Assignment.objects.leased().filter(**which).update(lease_until=timezone.now() - timedelta(days=1))


# ---- the constraints answer, whatever the code does ------------------------------------------------------------------


def refused(name: str, **changes: Any) -> None:
    with pytest.raises(IntegrityError) as error, transaction.atomic():
        Assignment.objects.filter(pk=changes.pop("pk")).update(**changes)
    assert statements.constraint_of(error.value) == name


def test_the_table_refuses_a_slot_taken_twice(make_pair: MakePair, project: Project) -> None:
    pair = make_pair()
    with pytest.raises(IntegrityError, match="one_row_per_slot"), transaction.atomic():
        Assignment.objects.create(project=project, pair=pair, slot=1, priority=1)


def test_the_table_refuses_one_annotator_twice_on_a_pair(make_pair: MakePair, alice: Annotator) -> None:
    one, two, _ = make_pair().assignments.order_by("slot")
    later = timezone.now() + timedelta(minutes=1)
    Assignment.objects.filter(pk=one.pk).update(annotator=alice, lease_until=later)
    refused("never_twice", pk=two.pk, annotator=alice, lease_until=later)


def test_the_table_knows_open_leased_and_done_only(make_pair: MakePair, alice: Annotator) -> None:
    slot = make_pair().assignments.get(slot=1)
    now = timezone.now()
    refused("open_leased_or_done", pk=slot.pk, annotator=alice)
    refused("open_leased_or_done", pk=slot.pk, lease_until=now)
    refused("open_leased_or_done", pk=slot.pk, annotator=alice, lease_until=now, done_at=now)
    refused("slots_count_from_one", pk=slot.pk, slot=0)
    refused("without_slot_is_done", pk=slot.pk, slot=None)


def test_the_table_refuses_a_second_current_judgement_and_a_used_key(make_pair: MakePair, alice: Annotator) -> None:
    make_pair()
    mine = claim(alice)
    assert mine
    finish(mine)
    said = Judgement.objects.get(assignment=mine)
    facts = {"assignment_id": mine, "annotator": alice, "verdict": "tie", "strength": 0, "swapped": False}
    for name, change in {
        "one_current_judgement": {"revision": 2, "key": _key()},
        "one_revision": {"revision": 1, "key": _key(), "is_current": False},
        "once": {"revision": 2, "key": said.key, "is_current": False},
    }.items():
        with pytest.raises(IntegrityError) as error, transaction.atomic():
            Judgement.objects.create(**facts, **change)
        assert statements.constraint_of(error.value) == name


def test_a_pair_out_of_play_is_never_handed_out(make_pair: MakePair, project: Project, alice: Annotator) -> None:
    gone, stays = make_pair(), make_pair()
    Pair.objects.filter(pk=gone.pk).update(excluded_at=timezone.now())
    taken = [claim(alice), claim(alice)]
    assert Assignment.objects.get(pk=taken[0]).pair_id == stays.pk
    assert taken[1] is None, "Even before its slots are removed."
    opening.open_slots(project=project)
    assert not gone.assignments.exists()
    Pair.objects.filter(pk=gone.pk).update(excluded_at=None)
    assert opening.open_slots(project=project) == 3
    assert claim(alice), "Back in play, and found at once."


def test_a_slot_above_the_overlap_is_never_handed_out(make_pair: MakePair, alice: Annotator, bob: Annotator) -> None:
    make_pair()
    Project.objects.update(overlap=1)
    assert claim(alice)
    assert claim(bob) is None, "Even before the slots that are too many are removed."


# ---- claiming --------------------------------------------------------------------------------------------------------


def test_a_claim_leases_the_next_pair_not_seen(make_pair: MakePair, project: Project, alice: Annotator) -> None:
    pairs = [make_pair() for _ in range(3)]
    taken = [claim(alice) for _ in range(4)]
    rows = [Assignment.objects.get(pk=pk) for pk in taken[:3]]
    assert [row.pair_id for row in rows] == [pair.pk for pair in pairs]
    assert taken[3] is None, "Three are held."
    lease = timedelta(minutes=project.lease_minutes)
    with connection.cursor() as cursor:
        cursor.execute("SELECT now()")  # The start of this test's transaction, which all statements share.
        now = cursor.fetchone()[0]
    assert [row.lease_until for row in rows] == [now + lease] * 3


@pytest.mark.parametrize("change", [{"is_active": False}, {"kind": "judge", "user": None}])
def test_only_active_people_claim(
    make_pair: MakePair, alice: Annotator, stranger: Annotator, change: dict[str, Any]
) -> None:
    make_pair()
    Annotator.objects.filter(pk=alice.pk).update(**change)
    assert claim(alice) is None
    assert assigning.claim(user_id=account(stranger), slug=alice.project.slug) is None
    assert not Assignment.objects.leased().exists()


@pytest.mark.parametrize("state", ["setup", "paused", "closed"])
def test_nothing_is_claimed_unless_the_project_is_judging(make_pair: MakePair, alice: Annotator, state: str) -> None:
    make_pair()
    Project.objects.update(state=state)
    assert claim(alice) is None
    Project.objects.update(state="judging")
    assert claim(alice)


def test_handing_out_gives_what_i_hold_and_tops_up(make_pair: MakePair, alice: Annotator) -> None:
    for _ in range(5):
        make_pair()
    args: Any = {"user_id": alice.user_id, "slug": alice.project.slug}
    first = [one.assignment_id for one in assigning.hand_out(**args)]
    assert len(first) == assigning.HELD
    expire()
    assert [one.assignment_id for one in assigning.hand_out(**args)] == first, "The same again, in the same order."
    assert not Assignment.objects.leased().filter(lease_until__lt=timezone.now()).exists(), "And renewed."
    Draft.objects.create(assignment_id=first[1], body={"note": "half a thou"}, version=4, saved_at=timezone.now())
    assert assigning.hand_out(**args)[0].assignment_id == first[1], "What I wrote in comes first."
    finish(first[0])
    assert len(assigning.hand_out(**args)) == assigning.HELD


def test_an_empty_queue_is_searched_from_the_head(make_pair: MakePair, project: Project, alice: Annotator) -> None:
    make_pair()
    Annotator.objects.filter(pk=alice.pk).update(cursor=10**15)
    assert claim(alice), "The cursor is a hint; behind it lies a slot."
    assert claim(alice) is None
    alice.refresh_from_db()
    assert alice.dry_until
    assert alice.dry_until > timezone.now()
    later = make_pair(slots=0)
    assert claim(alice) is None
    opening.open_slots(project=project, pairs=[later.pk])
    assert claim(alice), "Whoever opens slots ends the wait."


def test_expired_leases_come_back_without_a_worker(make_pair: MakePair, alice: Annotator, bob: Annotator) -> None:
    make_pair(slots=1)
    taken = claim(alice)
    assert taken
    assert claim(bob) is None
    expire()
    Annotator.objects.update(dry_until=None)
    assert claim(bob) == taken


# ---- leases ----------------------------------------------------------------------------------------------------------


def test_a_heartbeat_renews_my_leases_only(make_pair: MakePair, alice: Annotator, bob: Annotator) -> None:
    make_pair()
    mine, theirs = claim(alice), claim(bob)
    expire()
    assert assigning.renew(annotator_id=alice.pk) == 1
    now = timezone.now()
    still_leased = Assignment.objects.filter(lease_until__gt=now)
    assert [row.pk for row in still_leased] == [mine]
    assert Assignment.objects.get(pk=theirs).annotator_id == bob.pk


# ---- why there is nothing --------------------------------------------------------------------------------------------


def why(who: Annotator) -> dict[str, Any]:
    who.project.refresh_from_db()
    return assigning.why_empty(project=who.project, annotator=who)


def test_the_end_of_the_queue_says_why(make_pair: MakePair, project: Project, alice: Annotator, bob: Annotator) -> None:
    assert why(alice)["reason"] == "no_pairs"
    for state in ("setup", "paused", "closed"):
        Project.objects.update(state=state)
        assert why(alice)["reason"] == state
    Project.objects.update(state="judging", overlap=1)
    make_pair(slots=1)
    make_pair(slots=1)
    assert why(alice)["reason"] == "waiting"
    mine, theirs = claim(alice), claim(bob)
    assert mine
    assert theirs
    finish(mine)
    elsewhere = why(alice)
    assert elsewhere["reason"] == "elsewhere"
    assert (1, "pair is open with other annotators. If someone lets one go, it comes to you.") in elsewhere["facts"]
    finish(theirs)
    assert why(alice)["reason"] == "all_done"
    Project.objects.update(overlap=2)
    opening.open_slots(project=project)
    more = claim(alice)
    assert more
    finish(more)
    assert why(alice)["reason"] == "yours_done"
    assert why(alice)["counts"]["done"] == 2


def test_skips_are_counted_and_can_be_changed(make_pair: MakePair, project: Project, alice: Annotator) -> None:
    told = []
    for _ in range(2):
        make_pair(slots=1)
        finish(claim(alice), verdict="skip", strength=None, skip_reason="broken")
        told.append(why(alice)["facts"][-1])
    assert told == [
        (1, "of your answers is a skip. You can change it in My answers."),
        (2, "of your answers are skips. You can change them in My answers."),
    ]


def test_whoever_has_judged_every_pair_is_answered_at_once(
    make_pair: MakePair, alice: Annotator, django_assert_max_num_queries: Any
) -> None:
    make_pair()
    mine = claim(alice)
    assert mine
    finish(mine)
    with django_assert_max_num_queries(6) as queries:
        assert claim(alice) is None
    asked = [query["sql"] for query in queries.captured_queries]
    assert sum("FOR UPDATE OF s SKIP LOCKED" in sql for sql in asked) == 1, "The queue is not read a second time."


# ---- the specification -----------------------------------------------------------------------------------------------


def claim_by_orm(who: Annotator) -> int | None:
    """The claim as the ORM says it. Slow, and what CLAIM must agree with."""
    with transaction.atomic():
        me = Annotator.objects.select_for_update(no_key=True).get(pk=who.pk)
        project = Project.objects.get(pk=me.project_id)
        if not me.is_active or project.state != "judging":
            return None
        if Assignment.objects.leased().filter(annotator=me).count() >= assigning.HELD:
            return None
        seen = Subquery(Assignment.objects.filter(pair=OuterRef("pair"), annotator=me).values("pk")[:1])
        wanted = (
            Assignment.objects.open()
            .filter(project=project, slot__lte=project.overlap, pair__excluded_at=None)
            .alias(seen=seen)
            .filter(seen=None)
            .order_by("priority")
            .select_for_update(skip_locked=True, of=("self",))
        )
        found = wanted.filter(priority__gt=me.cursor).first() or wanted.first()
        if found is None:
            Annotator.objects.filter(pk=me.pk).update(cursor=-1)
            return None
        now = timezone.now()
        Assignment.objects.filter(pk=found.pk).update(
            annotator=me, lease_until=now + timedelta(minutes=project.lease_minutes), swapped=random.random() < 0.5
        )
        Annotator.objects.filter(pk=me.pk).update(cursor=found.priority, dry_until=None)
        return found.pk


class Twin:
    """A project with ten pairs and four annotators, on which a random history is played with one way of claiming."""

    def __init__(self, slug: str, claim: Callable[[Annotator], int | None]) -> None:
        import hashlib

        from annotation.models import Candidate, Prompt

        self.claim = claim
        self.project = Project.objects.create(slug=slug, name=slug, overlap=3, seed=3)
        digest = hashlib.sha256(slug.encode()).digest()
        prompt = Prompt.objects.create(project=self.project, messages=[], digest=digest)
        for n in range(10):
            sides = [
                Candidate.objects.create(prompt=prompt, messages=[], digest=hashlib.sha256(f"{n}{s}".encode()).digest())
                for s in "ab"
            ]
            Pair.objects.create(project=self.project, prompt=prompt, first=sides[0], second=sides[1], rank=n * 50)
        opening.open_slots(project=self.project)
        self.people = []
        for n in range(4):
            user = User.objects.create_user(f"{slug}-{n}@example.org")
            self.people.append(Annotator.objects.create(project=self.project, user=user, name=str(n)))

    def name(self, assignment_id: int | None) -> tuple[int, int | None] | None:
        """A slot by rank and number: the same in both twins."""
        if assignment_id is None:
            return None
        row = Assignment.objects.select_related("pair").get(pk=assignment_id)
        return row.pair.rank, row.slot

    def step(self, act: str, who: int, draw: float) -> object:
        me = self.people[who]
        if act == "claim":
            # Dry spells are a matter of time, and time is not part of the history.
            Annotator.objects.filter(project=self.project).update(dry_until=None)
            return self.name(self.claim(me))
        if act in ("finish", "expire"):
            held = list(Assignment.objects.leased().filter(annotator=me).order_by("priority"))
            if not held:
                return None
            taken = held[int(draw * len(held))]
            if act == "expire":
                expire(pk=taken.pk)
                return opening.sweep(project=self.project)
            finish(taken.pk)
        elif act == "exclude":
            pair = Pair.objects.filter(project=self.project).order_by("rank")[int(draw * 10)]
            Pair.objects.filter(pk=pair.pk).update(excluded_at=None if pair.excluded_at else timezone.now())
            return opening.open_slots(project=self.project)
        elif act == "overlap":
            Project.objects.filter(pk=self.project.pk).update(overlap=1 + int(draw * 4))
            return opening.open_slots(project=self.project)
        return None


@pytest.mark.parametrize("seed", range(4))
def test_the_statement_and_the_orm_agree_on_random_histories(seed: int) -> None:
    dice = random.Random(seed)
    ours, orm = Twin("ours", claim), Twin("orm", claim_by_orm)
    claimed = 0
    for n in range(140):
        act = dice.choices(["claim", "finish", "expire", "exclude", "overlap"], weights=[60, 30, 10, 3, 2])[0]
        who, draw = dice.randrange(4), dice.random()
        left, right = ours.step(act, who, draw), orm.step(act, who, draw)
        assert left == right, f"Step {n}: {act} by {who}."
        claimed += act == "claim" and left is not None
    assert claimed > 12, "The history was worth playing."


# ---- the plan --------------------------------------------------------------------------------------------------------


def plan(statement: str, values: dict[str, Any]) -> str:
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN (ANALYZE, COSTS OFF) " + statement, values)
        return "\n".join(row[0] for row in cursor.fetchall())


def test_the_claim_stays_a_probe_after_many_claims(project: Project, alice: Annotator) -> None:
    """20,000 slots done by one annotator: plain NOT EXISTS would read them all for every claim."""
    with connection.cursor() as cursor:
        # Foreign keys are left unchecked while the bulk is made: 200,000 queued checks would outlast the test.
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(
            """
            WITH p AS (INSERT INTO prompt (project_id, messages, system, language, tags, source, external_id, meta,
                digest, html, renderer, created_at)
              VALUES (%(project)s, '[]', '', '', '{}', '', '', '{}', '\\x00', '', 0, now()) RETURNING id),
            c AS (INSERT INTO candidate (prompt_id, messages, digest, index, model, revision, strategy, polarity,
                template_version, language, html, renderer, characters, created_at)
              SELECT p.id, '[]', int4send(n), 0, '', '', '', '', '', '', '', 0, 0, now()
              FROM p, generate_series(1, 44000) n RETURNING id, prompt_id),
            numbered AS (SELECT id, prompt_id, row_number() OVER (ORDER BY id) AS n FROM c)
            INSERT INTO pair (project_id, prompt_id, first_id, second_id, rank, source, external_id, tags, marks, label,
                label_kind, meta, is_gold, split, created_at)
            SELECT %(project)s, f.prompt_id, f.id, s.id, f.n, '', '', '{}', '{}', '', '', '{}', false, '', now()
            FROM numbered f JOIN numbered s ON s.n = f.n + 1 WHERE f.n %% 2 = 1
            """,
            {"project": project.pk},
        )
        opening.open_slots(project=project)
        cursor.execute(
            """
            UPDATE assignment SET annotator_id = %(me)s, done_at = now() WHERE id IN (
              SELECT id FROM assignment WHERE slot = 1 AND project_id = %(project)s ORDER BY priority LIMIT 20000)
            """,
            {"me": alice.pk, "project": project.pk},
        )
        cursor.execute("SET LOCAL session_replication_role = origin")
        cursor.execute("ANALYZE assignment")
        cursor.execute("SELECT max(priority) FROM assignment WHERE annotator_id = %s", [alice.pk])
        Annotator.objects.filter(pk=alice.pk).update(cursor=cursor.fetchone()[0])
    values = {"user": str(alice.user_id), "slug": project.slug, "version": None}
    for _ in range(3):
        read = plan(assigning.CLAIM, values)
        assert "Materialize" not in read
        assert "Seq Scan on assignment" not in read
        assert "Index Scan using slot_open" in read
        assert "Index Only Scan using never_twice" in read or "Index Scan using never_twice" in read
    # The control: without OFFSET 0 the planner reads everything that Alice ever did.
    careless = plan(assigning.CLAIM.replace("OFFSET 0", ""), values)
    assert "Anti Join" in careless


def test_a_plain_answer_is_short_enough_for_the_driver_to_keep_it() -> None:
    """psycopg keeps what it has read of a statement of at most 4,096 characters; reading costs a third of a submit."""
    assert len(assigning.submit_statement(with_spans=False, with_votes=False)) <= 4_096


def test_the_tally_of_a_newcomer_reads_no_others_though_the_planner_knows_of_one_annotator_only(
    project: Project, alice: Annotator, bob: Annotator
) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(
            """
            INSERT INTO judgement (assignment_id, annotator_id, revision, is_current, key, verdict, strength,
              strength_known, skip_reason, flags, guideline_id, swapped, client, created_at)
            SELECT n, %s, 1, true, gen_random_uuid(), 'tie', 0, true, '', '{}', NULL, false, '', now()
            FROM generate_series(1, 5000) n
            """,
            [alice.pk],
        )
        cursor.execute("SET LOCAL session_replication_role = origin")
        cursor.execute("ANALYZE judgement")
    read = plan(
        f"WITH me AS (SELECT id FROM annotator WHERE id = %(me)s), {assigning.TODAY} SELECT today FROM tally",
        {"me": bob.pk},
    )
    assert "using judgement_history" in read
    assert "Rows Removed by Filter" not in read


# ---- two tabs --------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_two_tabs_of_one_annotator_get_two_pairs(make_pair: MakePair, alice: Annotator) -> None:
    """The second claim waits for the first one's commit, picks the same pair from its old snapshot, and tries again."""
    for _ in range(4):
        make_pair()
    got: list[Any] = []
    waiting = threading.Event()

    def second_tab() -> None:
        waiting.set()
        got.append(claim(alice))
        connection.close()

    with transaction.atomic():
        got.append(claim(alice))
        tab = threading.Thread(target=second_tab)
        tab.start()
        waiting.wait()
        # Released only once the second claim stands behind our lock.
        until_somebody_waits()
    tab.join()
    assert None not in got
    pairs = list(Assignment.objects.filter(pk__in=got).values_list("pair", flat=True))
    assert len(set(pairs)) == 2


def test_a_race_that_does_not_end_is_told(
    monkeypatch: pytest.MonkeyPatch, make_pair: MakePair, alice: Annotator
) -> None:
    """never_twice that fires every time is a fault, not a race: after TRIES it comes out."""
    one, two, _ = make_pair().assignments.order_by("slot")
    later = timezone.now() + timedelta(minutes=1)
    Assignment.objects.filter(pk=one.pk).update(annotator=alice, lease_until=later)
    seen_not_looked_at = assigning.CLAIM.replace("m.annotator_id = (SELECT id FROM me) OFFSET 0", "false")
    assert seen_not_looked_at != assigning.CLAIM
    monkeypatch.setattr(assigning, "CLAIM", seen_not_looked_at)
    with pytest.raises(IntegrityError, match="never_twice"):
        claim(alice)
    assert Assignment.objects.get(Q(pk=two.pk)).annotator_id is None
