"""The overview: figures, forecast, what holds it up, and its buttons."""

from __future__ import annotations

import html
from datetime import timedelta
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from django.urls import reverse
from django.utils import timezone

from annotation import marking_gold
from annotation.models import Annotator, Assignment, Guideline, Judgement, Pair, Project, Run, Turn, Worker
from curation import weekly
from curation.measuring import measure_agreement
from curation.metrics.agreement import krippendorff_alpha
from curation.metrics.labels import Labels
from curation.weekly import agreement_by_week
from tests.lineups import answers, rank
from tests.verdicts import judge

pytestmark = pytest.mark.django_db


def page(client, project) -> str:
    answer = client.get(reverse("overview", args=[project.slug]))
    assert answer.status_code == 200
    return str(answer.content.decode())


def press(client, project, **fields):
    return client.post(reverse("overview", args=[project.slug]), fields, follow=True)


@pytest.mark.parametrize("who", ["alice", "adjudicator", "stranger"])
def test_only_leads_come_in(project, sign_in, who, request):
    client = sign_in(request.getfixturevalue(who))
    assert client.get(reverse("overview", args=[project.slug])).status_code == 404
    assert client.post(reverse("overview", args=[project.slug]), {"do": "pause"}).status_code == 404
    project.refresh_from_db()
    assert project.state == "judging"


def test_an_empty_project_says_what_to_do(project, lead, sign_in):
    text = page(sign_in(lead), project)
    assert "There is nothing to judge yet." in text
    assert "There are no pairs" in text
    assert reverse("imports", args=[project.slug]) in text
    assert "There is nothing to measure yet." in text


def test_figures_and_bar_say_the_same(project, lead, alice, make_pair, sign_in):
    judge(alice, make_pair())
    text = page(sign_in(lead), project)
    assert "<b>1</b> of 3 judgements, 33 %" in text
    assert "1 done, 0 leased, 2 left" in text


def test_the_forecast_has_a_date_and_a_range(project, lead, alice, bob, adjudicator, make_pair, sign_in):
    now = timezone.now()
    for n in range(1, 8):
        for _ in range(n % 3 + 1):
            judge(alice, make_pair(), at=now - timedelta(days=n))
    text = page(sign_in(lead), project)
    assert "At the pace of the last 7 full days it is done on" in text
    assert "80&nbsp;% probability" in text


def test_a_young_project_says_why_there_is_no_forecast(project, lead, alice, bob, make_pair, sign_in):
    judge(alice, make_pair(), at=timezone.now() - timedelta(days=1))
    assert "judging has gone on for 1 full day, and a pace needs 5" in page(sign_in(lead), project)


def test_what_holds_it_up(project, lead, alice, make_pair, sign_in):
    pair = make_pair()
    client = sign_in(lead)
    text = page(client, project)
    assert "Nobody can give 1 judgement" in text
    # A lease that nobody gives back, with no worker alive.
    Assignment.objects.filter(pair=pair, slot=1).update(
        annotator=alice, lease_until=timezone.now() - timedelta(hours=1)
    )
    assert "A worker does that, and none is alive." in page(client, project)
    Annotator.objects.filter(pk=alice.pk).update(is_active=False)
    assert "Nobody has been invited" in page(client, project)
    Project.objects.filter(pk=project.pk).update(state="paused")
    text = page(client, project)
    assert "Judging is paused" in text
    assert "No forecast: the project is paused." in text
    Run.objects.create(
        project=project,
        kind="import",
        state="failed",
        error="The disk is full.",
        finished_at=timezone.now(),
        code_version="t",
    )
    assert "The disk is full." in page(client, project)


def test_a_check_that_its_annotator_still_has_holds_nothing_up(project, lead, alice, bob, make_pair, sign_in):
    make_pair()
    check = make_pair(slots=0)
    marking_gold.mark_gold(project=project, gold=[marking_gold.Gold(verdict="first", pair=check.pk)])
    long_ago = timezone.now() - timedelta(hours=1)
    Assignment.objects.create(
        project=project, pair=check, annotator=alice, slot=1, priority=0, is_extra=True, lease_until=long_ago
    )
    assert "left open by somebody" not in page(sign_in(lead), project)


def test_pairs_skipped_by_everybody_are_counted_and_others_not(
    project, lead, alice, bob, adjudicator, make_pair, sign_in
):
    lost, other = make_pair(), make_pair()
    skip: dict[str, Any] = {"verdict": "skip", "strength": None}
    for who in (alice, bob, adjudicator):
        judge(who, lost, **skip, skip_reason="language")
    judge(alice, other, **skip, skip_reason="broken")
    judge(bob, other)
    text = page(sign_in(lead), project)
    assert "1 pair was skipped by everybody" in text
    assert "I do not read this language" in text


def test_nothing_holds_it_up(project, lead, alice, bob, make_pair, sign_in):
    make_pair()
    assert "Nothing: pairs are waiting and people can judge them." in page(sign_in(lead), project)


def test_waiting_runs_without_a_worker_are_an_alert(project, lead, sign_in):
    Run.objects.create(
        project=project, kind="import", code_version="t", parameters={"file": "<img src=x onerror=alert(1)>.jsonl"}
    )
    client = sign_in(lead)
    text = page(client, project)
    assert "1 run waits and no worker is alive." in text
    assert "<img src=x" not in text
    Worker.objects.create(name="cpu", queues=["cpu"], seen_at=timezone.now())
    assert "no worker is alive" not in page(client, project)


def test_the_alert_comes_and_goes_while_one_looks(project, lead, sign_in):
    Run.objects.create(project=project, kind="import", code_version="t")
    worker = Worker.objects.create(name="cpu", queues=["cpu"], seen_at=timezone.now())
    client = sign_in(lead)

    def polled(text):
        path = html.unescape(text.split('hx-get="', 1)[1].split('"', 1)[0])
        return client.get(path, headers={"HX-Request": "true"}).content.decode()

    quiet = polled(page(client, project))
    assert "no-worker" not in quiet
    Worker.objects.filter(pk=worker.pk).update(seen_at=timezone.now() - timedelta(hours=1))
    alert = polled(quiet)
    assert '<div id="no-worker" hx-swap-oob="true">' in alert
    assert "1 run waits and no worker is alive." in alert
    alert = polled(alert)
    assert "no-worker" not in alert
    Worker.objects.filter(pk=worker.pk).update(seen_at=timezone.now())
    gone = polled(alert)
    assert '<div id="no-worker" hx-swap-oob="true">' in gone
    assert "no worker is alive" not in gone


def test_polling_goes_on_while_something_runs_and_then_stops(project, lead, sign_in):
    run = Run.objects.create(project=project, kind="import", code_version="t")
    client = sign_in(lead)
    assert 'hx-trigger="every 2s"' in page(client, project)
    fragment = client.get(reverse("overview", args=[project.slug]), headers={"HX-Request": "true"}).content.decode()
    assert 'hx-trigger="every 2s"' in fragment
    assert "<html" not in fragment
    Run.objects.filter(pk=run.pk).update(state="cancelled", finished_at=timezone.now())
    fragment = client.get(reverse("overview", args=[project.slug]), headers={"HX-Request": "true"}).content.decode()
    assert "hx-trigger" not in fragment
    assert "All runs have ended." in fragment
    assert "hx-trigger" not in page(client, project)


def test_the_buttons_pause_and_resume(project, lead, make_pair, sign_in):
    make_pair()
    client = sign_in(lead)
    press(client, project, do="pause")
    project.refresh_from_db()
    assert project.state == "paused"
    answer = press(client, project, do="pause")
    assert "is not possible while the project is paused" in answer.content.decode()
    press(client, project, do="resume")
    project.refresh_from_db()
    assert project.state == "judging"


def test_measure_now_asks_for_one_run(project, lead, sign_in):
    client = sign_in(lead)
    press(client, project, do="measure")
    press(client, project, do="measure")
    run = Run.objects.get(project=project)
    assert (run.kind, run.parameters["measure"], run.parameters["whole"], run.started_by) == (
        "measurement",
        "agreement",
        True,
        lead.user,
    )


def test_a_run_can_be_cancelled_and_only_one_of_this_project(project, lead, stranger, sign_in):
    mine = Run.objects.create(project=project, kind="import", code_version="t")
    theirs = Run.objects.create(project=stranger.project, kind="import", code_version="t")
    client = sign_in(lead)
    press(client, project, do="cancel", run=mine.pk)
    assert press(client, project, do="cancel", run=theirs.pk).status_code == 404
    mine.refresh_from_db()
    theirs.refresh_from_db()
    assert (mine.state, theirs.state) == ("cancelled", "waiting")


def test_an_unknown_button_is_refused(project, lead, sign_in):
    client = sign_in(lead)
    assert press(client, project, do="explode").status_code == 400
    assert press(client, project, do="cancel", run="; drop").status_code == 400


def test_agreement_by_week_keeps_guidelines_apart(project, alice, bob, make_pair):
    """Two pairs under guideline 1 without agreement, two under guideline 2 with it."""
    old, new = (Guideline.objects.create(project=project, version=n, text="x", html="x") for n in (1, 2))
    now = timezone.now()
    for guideline, agrees, weeks in ((old, False, 2), (new, True, 0)):
        at = now - timedelta(weeks=weeks)
        for sign in (1, -1):
            pair = make_pair()
            judge(alice, pair, at=at, strength=sign, guideline=guideline)
            judge(bob, pair, at=at, strength=sign if agrees else -sign, guideline=guideline)
    found = agreement_by_week(project)
    assert [(week.version, week.alpha.n) for week in found] == [(1, 2), (2, 2)]
    assert found[0].alpha.value < 0
    assert found[1].alpha.value == 1
    assert found[0].monday.weekday() == 0
    assert found[1].monday - found[0].monday == timedelta(weeks=2)


def test_the_weeks_are_what_every_single_judgement_gives(project, crowd, make_pair):
    """Tallies that the database counts, against alpha of the labels one by one."""
    rng = np.random.default_rng(5)
    guideline = Guideline.objects.create(project=project, version=4, text="x", html="x")
    now = timezone.now()
    said: dict[tuple[int, int], list[tuple[int, int, int]]] = {}
    for place in range(48):
        pair, weeks, under = make_pair(), int(rng.integers(2)), (None, guideline)[place % 2]
        for number, who in enumerate(crowd[: 1 + place % 3]):
            strength = int(rng.choice([-2, 0, 3]))
            judge(
                who,
                pair,
                verdict="prefer" if strength else "tie",
                strength=strength,
                at=now - timedelta(weeks=weeks),
                guideline=under,
            )
            says = 2 if strength == 0 else int(strength < 0)
            said.setdefault((-weeks, 4 if under else 0), []).append((place, number, says))
    weeks_found = agreement_by_week(project)
    assert len(weeks_found) == len(said) == 4
    for week, (_, labels) in zip(weeks_found, sorted(said.items()), strict=True):
        item, annotator, value = np.array(labels).T
        one_by_one = krippendorff_alpha(Labels.from_columns(item, annotator, value))
        assert week.alpha.value == pytest.approx(one_by_one.value)
        assert week.alpha.n == one_by_one.n
        assert (week.alpha.low or 1) < (week.alpha.value or 0) < (week.alpha.high or 0)


def test_a_week_with_everything_in_it_is_the_alpha_that_is_measured(project, crowd, make_pair):
    """Which candidate is called first moves alpha a little; here as there it is the one that the file called so."""
    rng, now = np.random.default_rng(7), timezone.now()
    for place in range(40):
        pair = make_pair(meta={"imported": {"a": ("first", "second")[place % 2]}})
        for who in crowd[:3]:
            judge(who, pair, strength=int(rng.choice([-2, 2], p=[0.3, 0.7])), at=now)
    run = measure_agreement(project=project)
    whole = run.measurements.get(metric="alpha_nominal", annotator=None, pair=None)
    (week,) = agreement_by_week(project)
    assert week.alpha.value == pytest.approx(whole.value, abs=1e-12)


def test_few_rows_cross_however_many_pairs_there_are(project, alice, bob, make_pair):
    for n in range(30):
        pair = make_pair()
        judge(alice, pair, strength=1)
        judge(bob, pair, strength=1 if n % 2 else -1)
    assert [kind[1:] for kind in weekly._tallies(project)] == [(0, 1, 1, 0, 0, 15), (0, 2, 0, 0, 0, 15)]
    (week,) = agreement_by_week(project)
    assert week.alpha.n == 30


def test_where_the_page_cannot_wait_the_weeks_are_those_that_were_measured(
    project, lead, alice, bob, make_pair, sign_in, monkeypatch
):
    now = timezone.now()
    for weeks in (0, 1):
        for n in range(12):
            pair = make_pair()
            judge(alice, pair, at=now - timedelta(weeks=weeks), strength=1 if n % 2 else -1)
            judge(bob, pair, at=now - timedelta(weeks=weeks), strength=1 if n % 2 or n == 4 else -1)
    here = agreement_by_week(project)
    usual = weekly._TALLIES
    monkeypatch.setattr(weekly, "_TALLIES", "SELECT pg_sleep(600), %s")
    monkeypatch.setattr(weekly, "PATIENCE", 0.05)
    text = page(sign_in(lead), project)
    assert "too many judgements to compare the weeks" in text
    assert "Measuring agreement compares them." in text
    assert "<b>48</b> of" in text, "The rest of the page is there."
    monkeypatch.setattr(weekly, "_TALLIES", usual)
    measure_agreement(project=project)
    stored = Run.objects.get(kind="measurement").result["weeks"]
    assert [weekly.Week.from_json(one) for one in stored] == here
    monkeypatch.setattr(weekly, "_TALLIES", "SELECT pg_sleep(600), %s")
    text = page(sign_in(lead), project)
    assert "They stand as they were last measured." in text
    assert "alpha per week by guideline version" in text


def test_judges_and_withdrawn_judgements_are_not_in_the_weeks(project, alice, bob, make_pair):
    pair = make_pair()
    first = judge(alice, pair)
    machine = Annotator.objects.create(project=project, kind="judge", name="gpt", external_id="gpt")
    judge(machine, pair)
    (week,) = agreement_by_week(project)
    assert week.alpha.reason
    Judgement.objects.filter(pk=first.pk).update(is_current=False)
    assert agreement_by_week(project) == []


def test_the_course_is_drawn_with_its_numbers(project, lead, alice, bob, make_pair, sign_in):
    now = timezone.now()
    for weeks in (0, 1):
        for n in range(12):
            pair = make_pair()
            judge(alice, pair, at=now - timedelta(weeks=weeks), strength=1 if n % 2 else -1)
            judge(bob, pair, at=now - timedelta(weeks=weeks), strength=1 if n % 2 or n == 4 else -1)
    text = page(sign_in(lead), project)
    assert 'class="band"' in text
    assert "alpha per week by guideline version" in text
    assert "No guideline" in text
    assert text.count("The numbers") == 2
    assert "style=" not in text


def test_the_number_of_queries_does_not_grow_with_the_project(
    project, lead, alice, bob, make_pair, sign_in, django_assert_max_num_queries
):
    for _ in range(30):
        judge(alice, make_pair())
    for _ in range(10):
        Run.objects.create(project=project, kind="import", code_version="t", started_by=lead.user)
    client = sign_in(lead)
    page(client, project)
    with django_assert_max_num_queries(32):
        page(client, project)


def test_who_failed_every_gold_round_is_named_with_what_to_do(project, lead, alice, bob, make_pair, sign_in):
    Project.objects.filter(pk=project.pk).update(gold_round=2, gold_pass=2)
    make_pair()
    for who, right in ((alice, False), (bob, True)):
        for place in range(4):
            check = make_pair(slots=0, is_gold=True, gold_use="check", gold_verdict="first")
            seat = Assignment.objects.create(
                project=project,
                pair=check,
                slot=1,
                priority=place,
                annotator=who,
                done_at=timezone.now(),
                is_extra=True,
            )
            said = {"verdict": "prefer", "strength": 1 if right else -1}
            Judgement.objects.create(assignment=seat, annotator=who, key=uuid4(), swapped=False, **said)
    assert Pair.objects.filter(gold_use="check").count() == 8
    page = sign_in(lead).get("/p/everyday/").content.decode()
    assert "1 person is stopped by the gold rounds" in page
    assert "Alice did not pass 2 rounds of 2 checks, of which 2 must be right." in page
    assert "0</b> of 3 judgements" in page, "Checks count towards nothing."


def test_a_round_that_nobody_can_finish_is_told_before_people_are_stopped(project, lead, alice, make_pair, sign_in):
    Project.objects.filter(pk=project.pk).update(gold_round=3, gold_pass=2)
    make_pair()
    for _ in range(2):
        make_pair(slots=0, is_gold=True, gold_use="check", gold_verdict="first")
    for out in ({"excluded_at": timezone.now()}, {"marks": ["toy"]}, {"gold_use": "example", "gold_why": "So."}):
        make_pair(slots=0, **{"is_gold": True, "gold_use": "check", "gold_verdict": "first"} | out)
    client = sign_in(lead)
    assert "The gold round lacks 1 check" in page(client, project)
    third = make_pair(slots=0, is_gold=True, gold_use="check", gold_verdict="first")
    assert "The gold round lacks" not in page(client, project)
    # Somebody is in the second round, which has others.
    for place, pair in enumerate(Pair.objects.in_play().filter(gold_use="check").exclude(marks=["toy"])):
        seat = Assignment.objects.create(
            project=project, pair=pair, slot=1, priority=place, annotator=alice, done_at=timezone.now(), is_extra=True
        )
        said = {"verdict": "prefer", "strength": -1}
        Judgement.objects.create(assignment=seat, annotator=alice, key=uuid4(), swapped=False, **said)
    assert third.assignments.exists()
    text = page(client, project)
    assert "The gold round lacks 3 checks" in text
    assert "Make pairs gold on the board" in text


# ---- a project that ranks --------------------------------------------------------------------------------------------


def test_a_project_of_rankings_says_how_far_it_is_before_anybody_asked(ranking_project, lead, alice, bob, sign_in):
    for n in range(2):
        answers(ranking_project, 3, text=f"Prompt {n}?")
    client = sign_in(lead)
    text = page(client, ranking_project)
    assert "<b>0</b> of 4 rankings, 0 %" in text
    assert "Nothing: lineups are waiting and people can rank them." in text
    assert "in the queue" not in text
    rank(alice, 1, 2, 3)
    text = page(client, ranking_project)
    assert "<b>1</b> of 4 rankings, 25 %" in text
    assert "Rankings per day" in text
    assert "Judgements per day" not in text


def test_without_three_candidates_it_says_what_to_do(ranking_project, lead, alice, sign_in):
    answers(ranking_project, 2)
    text = page(sign_in(lead), ranking_project)
    assert "No prompt has three different candidates" in text
    assert "A ranking is of 3 to 8 candidates of one prompt" in text


def test_lineups_that_everybody_skipped_and_that_nobody_can_rank_are_named(ranking_project, lead, alice, bob, sign_in):
    answers(ranking_project, 3)
    for who in (alice, bob):
        rank(who, skip_reason="language")
    text = page(sign_in(lead), ranking_project)
    assert "1 lineup was skipped by everybody" in text
    assert "I do not read this language" in text
    Project.objects.filter(pk=ranking_project.pk).update(overlap=5)
    answers(ranking_project, 3, text="Another?")
    text = page(sign_in(lead), ranking_project)
    assert "Nobody can give 2 rankings" in text
    assert "Each lineup is to be ranked by 5 different people, and 3 can judge here." in text


def test_the_forecast_goes_by_rankings(ranking_project, lead, alice, sign_in):
    for n in range(12):
        answers(ranking_project, 3, text=f"Prompt {n}?")
    for n in range(1, 8):
        made = rank(alice, 1, 2, 3)
        Turn.objects.filter(pk=made.turn_id).update(done_at=timezone.now() - timedelta(days=n))
    text = page(sign_in(lead), ranking_project)
    assert "of 24 rankings" in text
    assert "At the pace of the last 7 full days it is done on" in text
