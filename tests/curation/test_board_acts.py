"""What the board's buttons do to pairs: out of play and back, to an adjudicator, to annotators again."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from annotation import excluding
from annotation.errors import Refused
from annotation.models import Assignment, Event, Pair, Project
from curation import adjudicating, browsing, gathering
from curation.filters import Filter, parse
from curation.models import Adjudication, FactsState, PairFact

pytestmark = pytest.mark.django_db


def test_pairs_leave_play_with_a_reason_and_come_back(
    project: Any, lead: Any, sign_in: Any, many: Any, alice: Any
) -> None:
    client, home = sign_in(lead), f"/p/{project.slug}/board"
    whole = FactsState.objects.get(project=project).pairs
    dims = browsing.dims_of(FactsState.objects.get(project=project))
    asked = parse({"dissents": "0..0"}, dims)
    those = adjudicating.passing(project=project, asked=asked, dims=dims)
    form = {"do": "exclude", "filter": "dissents=0..0", "expected": len(those), "back": "dissents=0..0&pair=1"}
    refused = client.post(f"{home}/send", form, follow=True).content.decode()
    assert "Say why the pairs leave" in refused
    assert Pair.objects.in_play().filter(project=project).count() == whole
    answer = client.post(f"{home}/send", form | {"because": " Copied  from a test set "})
    assert answer["Location"] == f"{home}?dissents=0..0&pair=1"
    assert {*Pair.objects.filter(project=project, excluded_at__isnull=False).values_list("pk", flat=True)} == {*those}
    assert FactsState.objects.get(project=project).pairs == whole - len(those), "The board is drawn without them."
    event = Event.objects.get(act="pairs.exclude")
    assert event.after
    assert (event.actor, event.after["because"], event.after["filter"], event.after["n"]) == (
        lead.user.email, "Copied from a test set", "dissents=0..0", len(those),
    )  # fmt: skip
    page = client.get(home).content.decode()
    assert "Copied from a test set" in page
    drawer = client.get(f"{home}/pairs/{those[0]}").content.decode()
    assert "Out of play" in drawer
    assert "Taken out of play: Copied from a test set" in drawer
    assert 'data-do="exclude"' not in drawer
    # One by itself, then the rest of them together; a second time nothing is left to do.
    client.post(f"{home}/put-back", {"pair": those[0]})
    assert Pair.objects.get(pk=those[0]).excluded_at is None
    back = client.post(f"{home}/put-back", {"batch": event.after["at"]}, follow=True).content.decode()
    assert f"{len(those) - 1} pairs are in play again." in back
    assert "Copied from a test set" not in back
    assert FactsState.objects.get(project=project).pairs == whole
    for wrong in ({"batch": "yesterday"}, {"batch": ""}, {"pair": "x"}, {"pair": "²"}, {"batch": "2026-13-01T00:00Z"}):
        assert client.post(f"{home}/put-back", wrong).status_code == 400
    assert client.post(f"{home}/put-back", {"pair": 999_999_999}).status_code == 404
    assert sign_in(alice).post(f"{home}/put-back", {"pair": those[0]}).status_code == 404


def test_an_act_on_one_pair_is_about_that_pair(project: Any, lead: Any, sign_in: Any, many: Any) -> None:
    client, home = sign_in(lead), f"/p/{project.slug}/board"
    pair = many[4]
    for act, told in (("adjudicate", {}), ("ask_again", {"more": "1"}), ("exclude", {"because": "Broken."})):
        client.post(f"{home}/send", {"do": act, "filter": f"only={pair.pk}", "expected": "1", "back": "", **told})
    assert [one.pair_id for one in Adjudication.objects.all()] == [pair.pk]
    assert {*Pair.objects.exclude(excluded_at=None).values_list("pk", flat=True)} == {pair.pk}
    other = Project.objects.create(slug="other", name="Other")
    assert client.get(f"{home}/rows?only=999999999").status_code == 400
    assert other.pairs.count() == 0


def test_what_is_out_of_play_waits_for_no_adjudicator(
    project: Any, lead: Any, adjudicator: Any, make_pair: Any, say: Any, alice: Any
) -> None:
    pair = make_pair()
    Adjudication.objects.create(project=project, pair=pair, asked_by=lead.user)
    assert adjudicating.waiting_for(adjudicator).count() == 1
    excluding.exclude(project=project, pairs=[pair.pk], because="Broken.", actor=lead.user)
    assert adjudicating.waiting_for(adjudicator).count() == 0
    excluding.put_back(project=project, pairs=[pair.pk], actor=lead.user)
    assert adjudicating.waiting_for(adjudicator).count() == 1


def test_pairs_are_sent_to_adjudication_once_and_counted(project: Any, lead: Any, sign_in: Any, many: Any) -> None:
    client, address = sign_in(lead), f"/p/{project.slug}/board/send"
    dims = browsing.dims_of(FactsState.objects.get(project=project))
    n = browsing.count(project=project, asked=parse({"dissents": "1..3"}, dims), dims=dims)
    assert n > 1
    form = {"do": "adjudicate", "filter": "dissents=1..3", "expected": n}
    for _ in range(2):
        client.post(address, form)
    assert Adjudication.objects.count() == n
    assert Adjudication.objects.values_list("because", flat=True).distinct().get() == "dissents=1..3"
    assert Event.objects.filter(act="board.adjudicate").count() == 2
    client.post(address, {**form, "filter": "", "expected": n})
    assert Adjudication.objects.count() == n, "The number that was confirmed is not the number that is found."


def test_an_adjudicator_never_settles_a_pair_that_they_judged(
    project: Any, lead: Any, adjudicator: Any, alice: Any, make_pair: Any, say: Any
) -> None:
    judged, other = make_pair(), make_pair()
    say(adjudicator, judged, "first")
    gathering.gather_facts(project=project)
    dims = browsing.dims_of(FactsState.objects.get(project=project))
    adjudicating.send_to_adjudication(
        project=project, asked=Filter(), dims=dims, expected=2, because="", actor=lead.user
    )
    mine = Adjudication.objects.get(pair=judged)
    assert [one.pair for one in adjudicating.waiting_for(adjudicator)] == [other]
    with pytest.raises(Refused, match="You have judged this pair"):
        adjudicating.take(adjudication=mine, adjudicator=adjudicator)
    with pytest.raises(IntegrityError, match="adjudicator_did_not_judge"), transaction.atomic():
        Adjudication.objects.filter(pk=mine.pk).update(adjudicator=adjudicator)
    with pytest.raises(Refused, match="Only adjudicators"):
        adjudicating.take(adjudication=mine, adjudicator=alice)
    free = Adjudication.objects.get(pair=other)
    assert adjudicating.take(adjudication=free, adjudicator=adjudicator).adjudicator == adjudicator
    assert adjudicating.take(adjudication=mine, adjudicator=lead).adjudicator == lead
    with pytest.raises(Refused, match="Somebody else"):
        adjudicating.take(adjudication=mine, adjudicator=adjudicator)
    with pytest.raises(IntegrityError, match="settled_by_somebody"), transaction.atomic():
        Adjudication.objects.filter(pk=mine.pk).update(outcome="tie")
    with pytest.raises(IntegrityError, match="a_pair_waits_once"), transaction.atomic():
        Adjudication.objects.create(project=project, pair=judged)


def test_asking_again_opens_slots_for_people_who_have_not_judged(
    project: Any, lead: Any, sign_in: Any, make_pair: Any, say: Any, crowd: Any, alice: Any
) -> None:
    from annotation.assigning import claim
    from annotation.opening import open_slots

    project.overlap = 1
    project.save()
    done, untouched = make_pair(slots=1), make_pair(slots=1)
    Assignment.objects.all().update(annotator=crowd[0], done_at=timezone.now())
    say(crowd[0], done, "first")
    gathering.gather_facts(project=project)
    form = {"do": "ask_again", "filter": "judgements=1..1", "expected": 1, "more": 2}
    client = sign_in(lead)
    for _ in range(2):
        client.post(f"/p/{project.slug}/board/send", form)
    extra = Assignment.objects.filter(is_extra=True)
    assert [(one.pair, one.slot) for one in extra.order_by("slot")] == [(done, 2), (done, 3)]
    assert not Assignment.objects.filter(pair=untouched, annotator=None).exists()
    open_slots(project=project)
    assert extra.count() == 2, "They lie beyond the overlap and are no surplus."
    handed = claim(user_id=alice.user_id, slug=project.slug)
    assert handed is not None
    assert Assignment.objects.get(pk=handed.assignment_id).pair == done
    assert claim(user_id=alice.user_id, slug=project.slug) is None, "Nobody gets a pair twice."


# ---- gold ------------------------------------------------------------------------------------------------------------


def test_a_lead_makes_a_pair_gold_on_its_page_and_takes_it_back(
    project: Project, lead: Any, sign_in: Any, many: Any
) -> None:
    client, pair = sign_in(lead), many[0]
    home = f"/p/{project.slug}/board"
    given = {"pair": pair.pk, "verdict": "second", "use": "example", "why": "B <counts> right."}
    answer = client.post(f"{home}/gold", given, follow=True)
    assert answer.redirect_chain == [(f"{home}/pairs/{pair.pk}", 302)]
    told = answer.content.decode()
    assert "is gold." in told
    assert "Gold: explained example, second is better" in " ".join(told.split())
    assert "B &lt;counts&gt; right." in told
    pair.refresh_from_db()
    assert (pair.gold_use, pair.gold_verdict, pair.gold_why) == ("example", "second", "B <counts> right.")
    assert PairFact.objects.get(pair=pair).is_gold, "The board is told at once."
    answer = client.post(f"{home}/gold", {**given, "not_gold": "1"}, follow=True)
    assert "is gold no longer." in answer.content.decode()
    pair.refresh_from_db()
    assert (pair.is_gold, pair.gold_use, pair.gold_verdict, pair.gold_why) == (False, "", "", "")
    assert not PairFact.objects.get(pair=pair).is_gold


def test_what_was_written_of_gold_stays_where_it_is_refused(
    project: Project, lead: Any, sign_in: Any, many: Any
) -> None:
    client, pair = sign_in(lead), many[0]
    gold = f"/p/{project.slug}/board/gold"
    answer = client.post(gold, {"pair": pair.pk, "verdict": "tie", "use": "example", "why": " "})
    page = answer.content.decode()
    assert (answer.status_code, "An example is explained: say why." in page) == (422, True)
    answer = client.post(gold, {"pair": pair.pk, "use": "check", "why": "Half a thought."})
    page = answer.content.decode()
    assert (answer.status_code, "It is first, second or tie." in page, "Half a thought." in page) == (422, True, True)
    for number in ("", "x", "9" * 19):
        assert client.post(gold, {"pair": number, "verdict": "tie", "use": "check"}).status_code == 400
    assert not Pair.objects.exclude(gold_use="").exists()


def test_only_leads_make_pairs_gold(project: Project, alice: Any, stranger: Any, sign_in: Any, many: Any) -> None:
    given = {"pair": many[0].pk, "verdict": "tie", "use": "check"}
    for who in (alice, stranger):
        assert sign_in(who).post(f"/p/{project.slug}/board/gold", given).status_code == 404
    assert not Pair.objects.exclude(gold_use="").exists()
