"""The form that starts a run: what it offers, what it promises, and what it refuses."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from annotation.generating import GenerationPlan
from annotation.guiding import Entry, publish_guideline
from annotation.models import Candidate, Event, LanguageModel, Principle, Prompt, Run, Worker
from annotation.phrasing import VALUE, publish
from tests.annotation.run_pages import asked, ended, five_prompts, make, page, post, sound_model
from tests.annotation.test_phrasing import WARM

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("bells")]


@pytest.fixture
def model(admin):
    return sound_model(admin)


@pytest.fixture
def prompts(project):
    return five_prompts(project)


@pytest.fixture
def client(lead, sign_in):
    return sign_in(lead)


def test_the_page_offers_a_run_before_anything_is_entered(client, project, model, prompts):
    text = page(client, project)
    assert "5 prompts × 4 = 20 candidates, at most 10,240 tokens." in text
    assert "No measurement yet" in text
    assert "Start: 20 candidates" in text
    # The third kind of run is started where its figures are.
    assert f'href="{reverse("reports", args=[project.slug])}">Measure</a>' in text


def test_where_every_prompt_has_candidates_all_of_them_are_offered(client, project, model, prompts):
    for prompt in prompts:
        Candidate.objects.create(prompt=prompt, messages=[], digest=b"1")
    text = page(client, project)
    assert "Start: 20 candidates" in text
    assert text.index('value="all"') < text.index('value="without"')


def test_the_button_starts_what_it_promised(client, project, lead, model, prompts, bells):
    answer = post(client, project, do="estimate")
    assert "Start: 20 candidates" in answer.content.decode()
    assert not Run.objects.exists()
    assert post(client, project, promised="20").status_code == 302
    run = Run.objects.get()
    assert (run.kind, run.state, run.seed, run.started_by) == ("generation", "waiting", 3, lead.user)
    assert (run.parameters["models"], run.parameters["n"]) == (["House model"], 4)
    assert run.estimate == {"units": 20, "tokens": 10_240, "measured_by": []}
    assert bells == [(run.pk, "gpu")]
    assert Event.objects.get(act="run.generate").actor == lead.user.email


def test_how_candidates_are_paired_can_be_said(client, project, model, prompts):
    text = page(client, project)
    assert "Sampled: some of all, drawn" in text
    assert post(client, project, promised="20", pairing="sampled", per_prompt="2").status_code == 302
    assert post(client, project, promised="20").status_code == 302
    drawn, usual = (run.parameters for run in Run.objects.order_by("pk"))
    assert (drawn["pairing"], drawn["per_prompt"]) == ("sampled", 2)
    assert (usual["pairing"], usual["per_prompt"]) == ("", 1)
    refused = post(client, project, promised="20", pairing="best_worst")
    assert (refused.status_code, Run.objects.count()) == (422, 2)
    assert "gives no scores, so there is no best and worst to pair." in refused.content.decode()


@pytest.fixture
def two(model):
    """Two models: by name, the smaller one stands first in the page."""
    small = LanguageModel.objects.get(pk=model.pk)
    small.pk, small.name, small.name_there = None, "Alpha 1B", "alpha"
    small.save()
    LanguageModel.objects.filter(pk=model.pk).update(name="Zeta 70B")


@pytest.mark.parametrize(("better", "worse"), [("Zeta 70B", "Alpha 1B"), ("Alpha 1B", "Zeta 70B")])
@pytest.mark.parametrize("strategy", ["nparam", "leaderboard"])
def test_which_of_two_models_is_meant_to_be_better_is_said_by_name(
    client, project, two, prompts, strategy, better, worse
):
    text = page(client, project)
    ticked = [name for _, name in sorted((text.index(f'value="{name}"'), name) for name in (better, worse))]
    entered = {"strategy": strategy, "models": ticked, "better": better, "n": 1}
    told = post(client, project, do="estimate", **entered).content.decode()
    assert f"5 prompts × 2 = 10 candidates, {better} meant to be better than {worse}" in told
    assert post(client, project, promised="10", **entered).status_code == 302
    assert Run.objects.get().parameters["models"] == [better, worse]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"better": ""}, "Say which of the two models is meant to be better."),
        ({"models": ["Alpha 1B"], "better": "Alpha 1B"}, "takes 2 models: tick two."),
        ({"better": "Mid 7B"}, "Mid 7B is not ticked. Choose one of Alpha 1B and Zeta 70B."),
    ],
)
def test_two_models_without_a_better_one_are_not_started(client, project, two, prompts, fields, says):
    mid = LanguageModel.objects.get(name="Alpha 1B")
    mid.pk, mid.name, mid.name_there = None, "Mid 7B", "mid"
    mid.save()
    entered = {"strategy": "nparam", "models": ["Alpha 1B", "Zeta 70B"], "promised": "10", "n": 1} | fields
    answer = post(client, project, **entered)
    assert answer.status_code == 422
    assert says in answer.content.decode()
    assert not Run.objects.exists()


def test_where_no_model_is_set_against_another_the_better_one_is_nothing(client, project, two, prompts):
    entered = {"models": ["Alpha 1B", "Zeta 70B"], "better": "Zeta 70B", "n": 1}
    assert post(client, project, promised="10", **entered).status_code == 302
    assert Run.objects.get().parameters["models"] == ["Alpha 1B", "Zeta 70B"]


def test_everything_that_a_generation_can_be_told_stands_in_its_form(client, project, two, prompts):
    Prompt.objects.filter(pk__in=[one.pk for one in prompts[:4]]).update(source="round 3")
    told: dict[str, object] = {"strategy": "best_worst_of_n", "models": ["Zeta 70B"]}
    told |= {"scorer": "judge", "scorer_model": "Alpha 1B"}
    told |= {"top_k": 40, "min_p": 0.05, "stop": "END\r\n\r\n User:", "near": 0.7, "source": "round 3", "limit": 3}
    assert "3 prompts × 4 = 12 candidates" in post(client, project, do="estimate", **told).content.decode()
    assert post(client, project, promised="12", **told).status_code == 302
    parameters = Run.objects.get().parameters
    assert {name: parameters[name] for name in told if name not in ("stop",)} == {
        name: value for name, value in told.items() if name != "stop"
    }
    assert parameters["stop"] == ["END", " User:"]


def test_what_is_left_empty_is_as_the_plan_has_it(client, project, model, prompts):
    empty = dict.fromkeys(("top_k", "min_p", "stop", "near", "per_prompt", "source", "limit", "scorer_model"), "")
    assert post(client, project, promised="20", **empty).status_code == 302
    usual = GenerationPlan(models=("House model",), n=4).as_parameters()
    told = Run.objects.get().parameters
    assert {name: told[name] for name in empty} == {name: usual[name] for name in empty}


def test_a_scorer_that_cannot_be_used_or_has_nothing_to_score_is_refused(client, project, two, prompts):
    told = {"models": ["Zeta 70B"], "scorer_model": "Alpha 1B", "promised": "20"}
    assert "does not score" in post(client, project, **told).content.decode()
    nobody = post(client, project, **told | {"scorer_model": "nobody", "strategy": "best_worst_of_n"})
    assert "not one of the available choices" in nobody.content.decode()
    assert not Run.objects.exists()


def test_what_is_known_of_the_best_of_n_is_said_before_it_is_made(client, project, model, prompts):
    answer = post(client, project, do="estimate", strategy="best_worst_of_n", scorer="judge").content.decode()
    assert "By its scorer the best of 4 beats one plain sample in 80 % of meetings." in answer
    assert "at most 0.64 nats (KL)" in answer
    assert "meetings" not in post(client, project, do="estimate").content.decode()


def test_a_button_that_promised_another_number_starts_nothing(client, project, model, prompts):
    answer = post(client, project, promised="16")
    assert "Nothing was started." in answer.content.decode()
    assert "Start: 20 candidates" in answer.content.decode()
    assert not Run.objects.exists()


def test_which_prompts(client, project, model, prompts):
    Candidate.objects.create(prompt=prompts[0], messages=[{"role": "assistant", "content": "0"}], digest=b"0")
    assert "Start: 16 candidates" in post(client, project, do="estimate", which="without").content.decode()
    assert "Start: 8 candidates" in post(client, project, do="estimate", which="tag:sums").content.decode()
    assert post(client, project, do="estimate", which="tag:nothing").status_code == 422


def test_the_estimate_is_from_measured_runs(client, project, model, prompts):
    now = timezone.now()
    for speed in (2, 1):
        make(
            project,
            parameters={"models": ["House model"], "strategy": "plain"},
            claimed_at=now - timedelta(seconds=110),
            pace_since=now - timedelta(seconds=100),
            progress=100 * speed,
            total=100 * speed,
            result={"tokens": 100 * speed * 50},
            state="done",
            finished_at=now,
            busy_seconds=110,
        )
    text = post(client, project, do="estimate").content.decode()
    # 20 candidates at one a second, the newest speed, and ten seconds of loading; the other run was twice as fast.
    assert "<b>30 s</b> (20 to 36 s)" in text
    assert "about 1,000 tokens" in text
    assert "50 tokens/s in run" in text
    run_ids = list(Run.objects.order_by("-id").values_list("pk", flat=True))
    post(client, project, promised="20")
    assert Run.objects.latest("pk").estimate == {
        "units": 20,
        "tokens": 1000,
        "measured_by": run_ids,
        "seconds": 30.0,
        "low": 20.0,
        "high": 36.0,
    }


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"models": []}, "Choose at least one model."),
        ({"models": ["nobody"]}, "not one of the available choices"),
        ({"n": ""}, "Say how many candidates"),
        ({"n": "65"}, "less than or equal to 64"),
        ({"strategy": "nparam"}, "takes 2 models"),
        ({"strategy": "best_worst_of_n"}, "There is no scorer"),
        ({"which": "tag:nothing"}, "not one of the available choices"),
        ({"temperature": "hot"}, "Enter a number"),
    ],
)
def test_what_cannot_be_started_is_said_in_a_sentence(client, project, model, prompts, fields, says):
    answer = post(client, project, **fields)
    assert answer.status_code == 422
    assert says in answer.content.decode()
    assert not Run.objects.exists()


def test_a_model_that_was_withdrawn_is_not_offered_and_not_used(client, project, model, prompts):
    LanguageModel.objects.update(allowed_at=None, allowed_by=None)
    text = page(client, project)
    assert "No model can be used yet." in text
    assert post(client, project, promised="20").status_code == 422
    assert not Run.objects.exists()


def test_system_messages_are_drawn_from_a_list_of_the_project(client, project, model, prompts):
    publish(project=project, kind=VALUE, name="house", parts=WARM)
    text = page(client, project)
    assert "house, version 1" in text
    assert "data-values" in text
    assert post(client, project, promised="10", n=2, strategy="janus", values="house").status_code == 302
    assert post(client, project, promised="10", n=2, strategy="janus").status_code == 302
    # The field is there, hidden, and says nothing to a strategy that draws none.
    assert post(client, project, promised="10", n=2, values="house").status_code == 302
    kept = [run.parameters["values"] for run in Run.objects.order_by("pk")]
    assert kept == ["house-1", "janus-1", ""]
    refused = post(client, project, promised="15", n=3, strategy="janus", values="house")
    assert "The values house-1 make 2 sets, and a prompt would need 3. Lower n." in refused.content.decode()
    assert Run.objects.count() == 3


def test_a_judge_is_started_from_the_other_form(client, project, model, make_pair, bells):
    make_pair()
    make_pair()
    text = page(client, project, "?kind=judge")
    # 4, and 2 × 2 × 8 with hidden commands, which are asked for unless somebody unticks them.
    assert "2 pairs, each question in both orders: 36 calls" in text
    entered = {"kind": "judge", "which": "all", "model": "House model", "template": "oracle", "asks": ["overall"]}
    answer = client.post(
        reverse("runs", args=[project.slug]), entered | {"limit": "", "seed": 0, "do": "start", "promised": "4"}
    )
    assert answer.status_code == 302
    run = Run.objects.get()
    assert (run.kind, run.parameters["model"], run.parameters["asks"]) == ("judging", "House model", ["overall"])


@pytest.mark.parametrize(
    ("about", "ticked", "kept"),
    [("own", [], ["general-1"]), ("unaided", [], ["unaided-1"]), ("unaided", ["general"], None)],
)
def test_reasons_are_asked_for_as_was_chosen(client, project, model, make_pair, about, ticked, kept):
    make_pair()
    what = {"kind": "judge", "which": "all", "model": "House model", "template": "oracle", "asks": ["rationales"]}
    # The judge's own verdict comes first, in both orders.
    calls = {"own": "3", "unaided": "1"}[about]
    rest = {"about": about, "rationales": ticked, "limit": "", "seed": "0", "do": "start", "promised": calls}
    answer = client.post(reverse("runs", args=[project.slug]), {**what, **rest})
    assert answer.status_code == (302 if kept else 422)
    assert [run.parameters["rationales"] for run in Run.objects.all()] == ([kept] if kept else [])
    if not kept:
        assert "“general” gives the verdict away" in answer.content.decode()


@pytest.fixture
def principles(project):
    """Two in force, the second key first, and one that is not."""
    made = [Principle.objects.create(project=project, key=key, short=f"Be {key}", text=".") for key in "abc"]
    entries = [Entry(short=one.short, text=one.text) for one in (made[1], made[0])]
    publish_guideline(project=project, text="# Guideline", principles=entries)
    project.refresh_from_db()
    return made


def test_what_is_sent_twice_is_the_last_of_it_or_is_refused(client, project, model, prompts, make_pair):
    """A browser sends each field once; a script may not. Nothing is added up, and nothing is asked twice."""
    text = post(client, project, do="estimate", n=["4", "2"], which=["without", "all"]).content.decode()
    assert "5 prompts × 2 = 10 candidates" in text
    text = post(client, project, models=["House model", "House model"], promised="20").content.decode()
    assert "A model is named twice." in text
    make_pair()
    judged = {"kind": "judge", "which": "all", "model": "House model", "template": "oracle", "seed": 0, "do": "start"}
    for twice in ({"asks": ["overall", "overall"]}, {"asks": ["rationales"], "rationales": ["general", "general"]}):
        answer = client.post(reverse("runs", args=[project.slug]), judged | twice)
        assert answer.status_code == 422
        assert "is named twice. Name each once." in answer.content.decode()
    assert not Run.objects.exists()


def test_a_judge_can_be_asked_about_some_principles(client, project, model, make_pair, principles):
    make_pair()
    make_pair(source="round 3")
    a, _, c = principles
    text = page(client, project, "?kind=judge")
    assert text.index(">Be b<") < text.index(">Be a<") < text.index(">Be c (not in force)<")
    what: dict[str, object] = {"kind": "judge", "which": "all", "model": "House model", "template": "oracle"}
    what |= {
        "source": "round 3",
        "asks": ["principles", "rationales"],
        "principles": [c.pk, a.pk],
        "about": "people",
        "injection_limit": 7,
    }
    rest = {"max_tokens": 99, "temperature": 0.2, "limit": "5", "seed": "0", "do": "start", "promised": "5"}
    url = reverse("runs", args=[project.slug])
    assert client.post(url, {**what, **rest}).status_code == 302
    told = Run.objects.get().parameters
    assert sorted(told["principles"]) == sorted([a.pk, c.pk])
    assert (told["source"], told["limit"], told["injection_limit"]) == ("round 3", 5, 7)
    assert (told["max_tokens"], told["temperature"]) == (99, 0.2)
    unasked = client.post(url, {**what, **rest, "asks": ["overall"]})
    assert (unasked.status_code, Run.objects.count()) == (422, 1)
    assert "Principles are named, but the judge is not asked about principles." in unasked.content.decode()
    assert client.post(url, {**what, **rest, "principles": [999_999]}).status_code == 422


def test_a_judge_can_be_given_the_pairs_of_one_run(client, project, model, make_pair):
    make_pair()
    pair = make_pair()
    run = make(project, **ended("done", result={"pairs": 1}))
    make(project, **ended("done", result={"pairs": 0}))
    for index, candidate in enumerate((pair.first, pair.second)):
        Candidate.objects.filter(pk=candidate.pk).update(run=run, index=index)
    text = page(client, project, "?kind=judge")
    assert text.count("Made by run") == 1
    assert f"Made by run {run.pk} (1)" in text
    what = {"kind": "judge", "which": f"run:{run.pk}", "model": "House model", "template": "oracle"}
    rest = {"asks": ["overall"], "limit": "", "seed": "0", "do": "start", "promised": "2"}
    assert client.post(reverse("runs", args=[project.slug]), {**what, **rest}).status_code == 302
    assert Run.objects.get(kind="judging").parameters["generation"] == run.pk


def test_the_estimate_alone_is_a_fragment(client, project, model, prompts):
    answer = client.post(reverse("runs", args=[project.slug]), asked(do="estimate"), headers={"HX-Request": "true"})
    assert answer.status_code == 200
    assert answer.content.decode().strip().startswith('<div id="estimate"') or b'id="estimate"' in answer.content
    assert b"<html" not in answer.content
    wrong = client.post(
        reverse("runs", args=[project.slug]), asked(n="", do="estimate"), headers={"HX-Request": "true"}
    )
    assert "Say how many candidates" in wrong.content.decode()


def test_an_unknown_button_is_refused(client, project, model):
    assert post(client, project, do="explode").status_code == 400


@pytest.mark.parametrize(("is_installed", "is_embedded"), [(True, True), (False, True), (False, False)])
def test_where_models_cannot_be_loaded_the_page_says_how_to_get_them(
    project, client, settings, monkeypatch, is_installed, is_embedded
):
    settings.EMBEDDED = is_embedded
    monkeypatch.setattr("config.engine.is_installed", lambda: is_installed)
    wants = is_embedded and not is_installed
    assert ("make engine" in page(client, project)) == wants
    # A worker of the queue asks endpoints without it.
    make(project)
    waiting = page(client, project)
    assert "make engine" not in waiting
    assert "--queues gpu" in waiting
    Worker.objects.create(name="gpu", queues=["gpu"], seen_at=timezone.now())
    assert ("make engine" in page(client, project)) == wants
