"""The demo project as it is loaded: marked as simulated, with pairs left to judge, and figures in its reports."""

from __future__ import annotations

import json
import math
import re
import uuid
from collections import Counter
from datetime import timedelta
from io import StringIO

import numpy as np
import pytest
from django.core.management import call_command
from django.db import connection, transaction
from django.utils import timezone

from annotation import demonstrating, judging, offering
from annotation.answering import Answer
from annotation.demonstrating import ANNOTATOR, LEAD, SLUG, load_demo
from annotation.models import (
    Annotator,
    Assignment,
    JudgeAnswer,
    Judgement,
    Offer,
    Pair,
    PrincipleVote,
    Project,
    Rationale,
    Reaction,
    Role,
    Run,
    User,
)
from annotation.ordering import is_asked


@pytest.fixture(scope="module")
def printed(django_db_setup, django_db_blocker):
    """Loaded and measured once, by the command; what a test changes is undone before the next one. What it printed."""
    with django_db_blocker.unblock(), transaction.atomic():
        out = StringIO()
        call_command("load_demo", stdout=out)
        yield out.getvalue()
        transaction.set_rollback(True)


@pytest.fixture
def demo(db, printed):
    return load_demo()


def test_every_page_of_its_lead_says_that_it_is_simulated(demo, sign_in):
    client = sign_in(Annotator.objects.get(project=demo.project, user__email=LEAD))
    start = f"/p/{SLUG}/"
    waiting: list[str] = [start]
    seen: dict[str, bool | None] = {}
    while waiting:
        address = waiting.pop()
        answer = client.get(address)
        if answer.status_code != 200 or not answer.headers["Content-Type"].startswith("text/html"):
            seen[address] = None
            continue
        html = answer.content.decode()
        seen[address] = "Example, simulated." in html if '<nav class="sections"' in html else None
        for link in re.findall(rf'href="({start}[^"?#]*)"', html):
            # One page of each kind: not every pair, and nothing that changes.
            kind = re.sub(r"\d+", "1", link)
            if kind not in seen:
                seen[kind] = None
                waiting.append(link)
    said = {address for address, says in seen.items() if says}
    assert [address for address, says in seen.items() if says is False] == []
    pages = [
        "board",
        "adjudication",
        "reports",
        "reports/agreement",
        "releases",
        "releases/new",
        "people",
        "runs",
        "settings",
        "import",
    ]
    assert {start, *(f"{start}{page}" for page in pages)} <= said


def test_it_has_every_pair_a_guideline_and_two_doors(demo):
    lines = (demonstrating.FOLDER / "pairs.jsonl").read_text().splitlines()
    assert Pair.objects.filter(project=demo.project).count() == len(lines) >= 60
    guideline = demo.project.guideline
    assert guideline.version == 1
    assert 6 <= guideline.principles.count() <= 10
    roles = dict(Annotator.objects.filter(project=demo.project, user__isnull=False).values_list("user__email", "role"))
    assert roles == {LEAD: Role.LEAD, ANNOTATOR: Role.ANNOTATOR}
    assert not any(user.has_usable_password() for user in User.objects.filter(email__in=roles))


def test_every_judgement_is_simulated_and_says_so(demo):
    judgements = Judgement.objects.filter(assignment__project=demo.project)
    assert judgements.count() > 150
    assert set(judgements.values_list("annotator__is_simulated", "annotator__kind", "client")) == {
        (True, "person", "simulation"),
        (True, "judge", "judge"),
    }
    names = Annotator.objects.filter(project=demo.project, is_simulated=True).values_list("name", flat=True)
    assert len(names) >= 5
    assert all(name.startswith("Simulated ") for name in names)
    # No person wrote these reasons for these judgements.
    assert set(Rationale.objects.values_list("source", flat=True)) == {"imported", "machine", "edited"}
    assert not Rationale.objects.exclude(annotator__is_simulated=True).exists()


def test_one_pair_in_five_is_asked_principle_by_principle(demo):
    project, pairs = demo.project, list(Pair.objects.values_list("pk", flat=True))
    asked = sum(is_asked(policy=project.votes_policy, seed=project.seed, pair_id=pair) for pair in pairs)
    # Drawn by numbers that differ between runs: one in five, give or take five standard errors.
    assert asked > 0
    assert abs(asked / len(pairs) - 0.2) < 5 * math.sqrt(0.2 * 0.8 / len(pairs))


def test_its_machine_reasons_are_simulated_and_a_newcomer_is_offered_one(demo):
    """For either side of every pair; a third of the simulated answers are controls; nobody changed a judgement."""
    machine = Rationale.objects.filter(source="machine")
    assert machine.count() == 2 * Pair.objects.count()
    assert set(machine.values_list("annotator__is_simulated", "run__result__simulated")) == {(True, True)}
    assert machine.filter(text__regex=r"\S").count() == machine.count()
    arms = Counter(Offer.objects.values_list("is_control", flat=True))
    assert sum(arms.values()) == Judgement.objects.by_people().current().filter(verdict="prefer").count()
    # Drawn by numbers that differ between runs: .35, give or take five standard errors.
    assert abs(arms[True] / sum(arms.values()) - 0.35) < 5 * math.sqrt(0.35 * 0.65 / sum(arms.values()))
    assert arms[True] >= 30
    assert set(Reaction.objects.values_list("choice", flat=True)) == {"accepted", "edited", "rejected"}
    assert not Judgement.objects.filter(saw_machine=True).exists()
    me = Annotator.objects.select_related("project").get(user__email=ANNOTATOR)
    assert me.user_id is not None
    waits = 0
    for _ in range(5):
        item = judging.hand_out(user_id=me.user_id, slug=SLUG)[0]
        answer = Answer(assignment_id=item.assignment_id, key=uuid.uuid4(), verdict="prefer", strength=2)
        judging.submit(user_id=me.user_id, project=me.project, answer=answer)
        waits = offering.draw(annotator=me)
    assert waits == Offer.objects.filter(annotator=me, is_control=False).count()
    assert Offer.objects.filter(annotator=me).count() == 5


def test_every_kind_of_answer_occurs_and_some_give_reasons(demo):
    verdicts = Counter(Judgement.objects.values_list("verdict", flat=True))
    assert set(verdicts) == {"prefer", "tie", "both_bad", "skip"}
    assert verdicts["prefer"] > sum(verdicts.values()) / 2
    assert {-3, -2, -1, 1, 2, 3} <= set(Judgement.objects.values_list("strength", flat=True))
    assert Rationale.objects.exclude(text="").count() > 50
    known = {tag["key"] for tag in demo.project.tags}
    assert {tag for tags in Rationale.objects.values_list("tags", flat=True) for tag in tags} <= known


def test_most_slots_are_judged_and_a_newcomer_has_pairs_left(demo):
    slots = Assignment.objects.slots().filter(project=demo.project)
    assert slots.count() == demo.project.overlap * Pair.objects.filter(project=demo.project).count()
    done, left = slots.done().count(), slots.open().count()
    assert done + left == slots.count()
    assert 0.7 < done / slots.count() < 0.95
    assert slots.open().values("pair").distinct().count() >= 20


def test_times_lie_in_the_last_days_and_in_the_order_of_the_rows(demo):
    times = list(Judgement.objects.by_people().order_by("id").values_list("created_at", flat=True))
    assert times == sorted(times)
    assert times[-1] < timezone.now()
    assert times[0] > timezone.now() - timedelta(days=demonstrating.DAYS + 1)
    assert demo.project.guideline.created_at < times[0]
    assert len({moment.date() for moment in times}) >= 6
    pairs = Judgement.objects.by_people().values_list("assignment__done_at", "created_at")
    assert all(done == created for done, created in pairs)


def test_the_planner_knows_what_is_there_before_figures_are_read(demo):
    """Else it takes the tables for nearly empty, and the first report of a new demo takes ten times as long."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT relname, reltuples FROM pg_class WHERE relkind = 'r'")
        known = dict(cursor.fetchall())
    for model in (Pair, Assignment, Judgement, JudgeAnswer, PrincipleVote, Rationale, Offer, Reaction):
        assert known[model._meta.db_table] == model.objects.count() > 0, model


def test_skill_and_bias_of_the_cast_can_be_found_again(demo):
    """The good annotator follows quality more often than the hasty one; the one who leans left prefers the left."""
    lines = (demonstrating.FOLDER / "pairs.jsonl").read_text().splitlines()
    latent = {row["item_id"]: row for row in map(json.loads, lines)}
    better: dict[str, list[bool]] = {}
    left: dict[str, list[bool]] = {}
    rows = Judgement.objects.by_people().filter(verdict="prefer").select_related("annotator", "assignment__pair__first")
    for judgement in rows:
        pair = judgement.assignment.pair
        row = latent[pair.external_id]
        sign = 1 if pair.first.text == row["response_a"] else -1
        difference = sign * (row["meta"]["quality_a"] - row["meta"]["quality_b"])
        name = judgement.annotator.name
        prefers_first = (judgement.strength or 0) > 0
        better.setdefault(name, []).append((difference > 0) == prefers_first)
        left.setdefault(name, []).append(prefers_first != judgement.swapped)
    right = {name: float(np.mean(values)) for name, values in better.items()}
    leaning = {name: float(np.mean(values)) for name, values in left.items()}
    assert right["Simulated Ada"] > 0.8 > right["Simulated Emil"]
    assert max(leaning, key=lambda name: leaning[name]) == "Simulated Chidi"


def test_nothing_latent_is_in_what_annotators_see(demo):
    """Models and qualities stay in the database: the rendered HTML holds none of them."""
    models = {name for row in Pair.objects.values_list("meta", flat=True) for name in row.get("models", [])}
    models |= set(Pair.objects.values_list("first__model", flat=True))
    html = " ".join(
        " ".join(texts) for texts in Pair.objects.values_list("prompt__html", "first__html", "second__html")
    )
    assert not [model for model in models if model and model in html]
    assert "quality_" not in html


def test_loading_twice_adds_nothing(demo):
    before = list(Judgement.objects.order_by("id").values())
    again = load_demo()
    assert (again.is_new, again.project, again.lead, again.annotator) == (
        False,
        demo.project,
        demo.lead,
        demo.annotator,
    )
    assert list(Judgement.objects.order_by("id").values()) == before
    assert Project.objects.count() == 1


def test_the_command_loads_measures_and_says_what_it_did(demo, printed):
    assert printed.startswith("Loaded: project 'demo'")
    assert list(Run.objects.filter(kind="measurement").values_list("state", flat=True)) == ["done"] * 3
    out = StringIO()
    call_command("load_demo", stdout=out)
    assert "Already there: project 'demo'" in out.getvalue()
    assert Run.objects.filter(kind="measurement").count() == 3


def test_the_reports_have_figures_on_the_first_start(demo, client):
    client.force_login(demo.lead)
    runs = client.get("/p/demo/runs").content.decode()
    assert "reasons, simulated" in runs
    assert "Simulated Hedda · oracle, both orders" in runs
    judges = client.get("/p/demo/judges").content.decode()
    assert "Simulated Hedda" in judges
    assert "Simulated Igor" in judges
    discretion = client.get("/p/demo/reports/discretion").content.decode()
    assert "All people" in discretion
    measured = Run.objects.get(parameters__measure="discretion").measurements
    people = measured.get(metric="discretion_arbitrariness", annotator=None)
    assert people.value is not None
    assert people.n is not None
    assert people.n >= 30


def test_the_simulated_judges_are_marked_and_have_the_skill_and_bias_that_were_put_in(demo):
    judges = {one.name: one for one in Annotator.objects.judges().filter(project=demo.project)}
    assert all(one.is_simulated and name.startswith("Simulated ") for name, one in judges.items())
    votes = PrincipleVote.objects.filter(annotator=judges["Simulated Hedda"])
    assert votes.count() == Pair.objects.count() * demo.project.guideline.principles.count()
    assert not PrincipleVote.objects.filter(annotator=judges["Simulated Igor"]).exists()
    shares = {}
    for name, one in judges.items():
        rows = JudgeAnswer.objects.filter(annotator=one, principle=None)
        shares[name] = np.mean([a > b for a, b in rows.values_list("probability_a", "probability_b")])
    assert 0.4 < shares["Simulated Hedda"] < 0.6 < shares["Simulated Igor"]
