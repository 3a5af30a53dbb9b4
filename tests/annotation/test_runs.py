"""The page of runs: what it shows, its form and its buttons; without script, and polled."""

from __future__ import annotations

import hashlib
import html
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from annotation import running
from annotation.generating import GenerationPlan
from annotation.guiding import Entry, publish_guideline
from annotation.models import Candidate, Event, LanguageModel, Principle, Prompt, Run, Worker

pytestmark = pytest.mark.django_db


@pytest.fixture
def model(admin):
    return LanguageModel.objects.create(
        name="House model",
        backend="openai_compatible",
        location="http://gpu-1:8000/v1",
        allowed_by=admin,
        allowed_at=timezone.now(),
        is_sound=True,
        checked_at=timezone.now(),
        check_said="Loaded.",
    )


@pytest.fixture
def prompts(project):
    return [
        Prompt.objects.create(
            project=project,
            messages=[{"role": "user", "content": f"What is {n}?"}],
            digest=hashlib.sha256(str(n).encode()).digest(),
            tags=["sums"] if n < 2 else [],
        )
        for n in range(5)
    ]


@pytest.fixture
def client(lead, sign_in):
    return sign_in(lead)


@pytest.fixture(autouse=True)
def bells(monkeypatch):
    """No worker comes: the pages only ask for one."""
    rung = []
    monkeypatch.setattr(running, "ring", lambda run_id, *, queue: rung.append(run_id))
    return rung


def make(project, **fields):
    return Run.objects.create(**{"kind": "generation", "code_version": "t", "project": project, **fields})


def ended(state, **fields):
    return {"state": state, "finished_at": timezone.now(), **fields}


def page(client, project, query=""):
    answer = client.get(reverse("runs", args=[project.slug]) + query)
    assert answer.status_code == 200
    return answer.content.decode()


def asked(**fields):
    entered = {"kind": "generate", "which": "all", "models": ["House model"], "strategy": "plain", "n": 4}
    return entered | {"max_tokens": 512, "temperature": 1, "top_p": 1, "seed": 3, "do": "start"} | fields


def post(client, project, **fields):
    return client.post(reverse("runs", args=[project.slug]), asked(**fields))


# ---- the list --------------------------------------------------------------------------------------------------------


def test_an_empty_list_says_what_will_be_here(client, project):
    text = page(client, project)
    assert "There are no runs yet." in text
    assert "No model can be used yet." in text
    assert 'hx-trigger="every 2s"' not in text


def test_each_state_in_words(client, project):
    Worker.objects.create(name="gpu", queues=["gpu"], seen_at=timezone.now())
    make(project)
    make(project, state="running", token="00000000-0000-4000-8000-000000000000", lease_until=timezone.now(), attempt=1)
    make(project, **ended("failed", error="<img src=x onerror=alert(1)> is no model.", progress=96, total=2448))
    make(project, **ended("cancelled", progress=1204, total=9000))
    make(project, **ended("done", busy_seconds=1980, estimate={"seconds": 2160, "low": 1740, "high": 2700}))
    text = page(client, project)
    for word in ("Waiting", "Running", "Partly finished", "Cancelled", "Finished"):
        assert word in text
    assert "What was finished is kept: 96 of 2,448." in text
    assert "Retry the 2,352" in text
    assert "Go on from 1,204" in text
    assert "Took 33 min; the estimate was 36 min (29 to 45 min)." in text
    assert "Of the last 1 run with an estimate, 1 ended within" in text
    assert "<img src=x" not in text


def test_a_run_that_left_something_out_says_what_and_why_and_can_be_retried(client, project):
    because = "The prompt has 6,112 tokens; House model takes 4,096."
    left_out = {"prompts_left_out": 2, "left_out_because": because}
    pairs = {"pairs": 380, "pairs_left_out": {"identical": 12, "near_identical": 3}}
    make(project, **ended("done", progress=392, total=400, result={"candidates": 392, **left_out, **pairs}))
    told = {"pairs_left_out": 1, "left_out_because": "No probabilities."}
    make(project, **ended("done", kind="judging", progress=36, total=42, result=told))
    make(project, **ended("done", progress=400, total=400, result={"pairs": 1, "pairs_left_out": {}}))
    text = page(client, project)
    assert text.count("Partly finished") == 2
    assert "8 of 400 candidates are missing. The model could not answer 2 prompts; the log names them." in text
    assert f"The last reason: {because} 380 pairs made; left out: 12 identical, 3 near-identical." in text
    assert "6 of 42 answers are missing. The model could not answer 1 pair; the log names them." in text
    assert "1 pair made." in text
    assert [f"Retry the {n}" in text for n in (8, 6)] == [True, True]
    assert text.count('value="retry"') == 2
    client.post(reverse("run", args=[project.slug, Run.objects.earliest("pk").pk]), {"do": "retry"})
    assert Run.objects.earliest("pk").state == "waiting"


def test_time_left_is_from_the_run_s_own_pace(client, project):
    now = timezone.now()
    make(
        project,
        state="running",
        attempt=2,
        token="00000000-0000-4000-8000-000000000000",
        lease_until=now + timedelta(seconds=30),
        claimed_at=now - timedelta(seconds=60_300),
        # So long ago that the seconds which a busy machine takes to show it do not count.
        pace_since=now - timedelta(seconds=60_000),
        pace_from=2000,
        progress=302_000,
        total=305_000,
        tokens=36_240_000,
    )
    text = page(client, project)
    assert "10 min" in text
    assert "8 to 13 min" in text
    assert ">600<" in text  # Tokens per second: 5 a second with 120 each.


def test_polling_goes_on_while_something_runs_and_stops_when_all_is_final(client, project):
    run = make(project)
    url = reverse("runs", args=[project.slug])
    assert 'hx-trigger="every 2s"' in page(client, project)
    fragment = client.get(url, headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in fragment
    assert 'hx-trigger="every 2s"' in fragment
    Run.objects.filter(pk=run.pk).update(**ended("done"))
    fragment = client.get(url, headers={"HX-Request": "true"}).content.decode()
    assert "hx-trigger" not in fragment
    assert "All runs have ended." in fragment


def polled(client, text):
    """What the list asks for next, as htmx does."""
    path = html.unescape(text.split('hx-get="', 1)[1].split('"', 1)[0])
    return client.get(path, headers={"HX-Request": "true"}).content.decode()


def test_the_banner_and_the_workers_come_and_go_with_the_list(client, project):
    """The banner is an alert: it is said anew only when it is another."""
    waiting = make(project)
    text = page(client, project)
    assert text.count('id="no-worker"') == text.count('id="workers"') == 1
    fragment = polled(client, text)
    assert '<p id="workers" hx-swap-oob="true"><span class="st off">No worker is alive' in fragment
    assert "no-worker" not in fragment
    worker = Worker.objects.create(name="gpu", queues=["gpu"], seen_at=timezone.now())
    fragment = polled(client, fragment)
    assert "1 worker alive" in fragment
    assert '<div id="no-worker" hx-swap-oob="true">' in fragment
    assert "alert" not in fragment
    fragment = polled(client, fragment)
    assert "no-worker" not in fragment
    Worker.objects.filter(pk=worker.pk).update(seen_at=timezone.now() - timedelta(hours=1))
    fragment = polled(client, fragment)
    assert "1 run waits and no worker is alive." in fragment
    make(project)
    fragment = polled(client, fragment)
    assert "2 runs wait and no worker is alive." in fragment
    Run.objects.filter(pk__gte=waiting.pk).update(**ended("done"))
    fragment = polled(client, fragment)
    assert '<div id="no-worker" hx-swap-oob="true">' in fragment
    assert "no worker is alive" not in fragment


def test_who_waits_for_a_queue_that_nobody_serves_is_told_how_to_mend_it(client, project):
    make(project)
    assert "1 run waits and no worker is alive." in page(client, project)
    worker = Worker.objects.create(name="cpu", queues=["cpu"], seen_at=timezone.now())
    text = page(client, project)
    assert "Runs wait for the queue gpu, and no living worker serves it." in text
    assert "worker --queues gpu --hostname gpu@%h --concurrency 1</code>" in text
    assert "Waiting for a worker" in text
    Worker.objects.filter(pk=worker.pk).update(queues=["cpu", "gpu"])
    assert "no living worker" not in page(client, project)


def test_the_number_of_queries_does_not_grow_with_the_runs(client, project, lead, model, django_assert_max_num_queries):
    for n in range(60):
        make(project, started_by=lead.user, parameters={"models": ["House model"]}, **ended("done", progress=n))
    page(client, project)
    with django_assert_max_num_queries(30):
        text = page(client, project)
    assert "Page 1 of 3, 60 runs" in text
    assert "Page 3 of 3" in page(client, project, "?page=3")


# ---- the drawer and the page of one run ------------------------------------------------------------------------------


def test_the_log_opens_in_a_drawer_without_script_and_is_text_too(client, project, stranger):
    run = make(project, log="12:00:00 <b>loading</b>\n12:00:09 ready", parameters={"models": ["A & B"]})
    text = page(client, project, f"?log={run.pk}")
    assert f'id="log-{run.pk}"' in text
    assert "12:00:00 &lt;b&gt;loading&lt;/b&gt;" in text
    assert "A &amp; B" in text
    log = client.get(reverse("run_log", args=[project.slug, run.pk]))
    assert (log.headers["Content-Type"], log.content) == ("text/plain; charset=utf-8", f"{run.log}\n".encode())
    theirs = make(stranger.project, log="secret")
    assert "secret" not in page(client, project, f"?log={theirs.pk}")
    assert 'class="drawer"' not in page(client, project, "?log=9999999999999999999999")


def test_one_run_has_a_page_and_a_fragment_that_stops_polling(client, project):
    run = make(project)
    url = reverse("run", args=[project.slug, run.pk])
    assert "<h1>Run" in client.get(url).content.decode()
    assert 'hx-trigger="every 2s"' in client.get(url, headers={"HX-Request": "true"}).content.decode()
    Run.objects.filter(pk=run.pk).update(**ended("cancelled"))
    assert "hx-trigger" not in client.get(url, headers={"HX-Request": "true"}).content.decode()


def test_the_buttons_cancel_and_retry(client, project):
    run = make(project)
    url = reverse("run", args=[project.slug, run.pk])
    client.post(url, {"do": "cancel"})
    run.refresh_from_db()
    assert run.state == "cancelled"
    assert "has ended already" in client.post(url, {"do": "cancel"}, follow=True).content.decode()
    assert "stopped by <bdi>Lena</bdi>" in client.get(url).content.decode()
    client.post(url, {"do": "retry"})
    run.refresh_from_db()
    assert (run.state, run.retries) == ("waiting", 1)
    assert "stopped by" not in client.get(url).content.decode()
    assert client.post(url, {"do": "explode"}).status_code == 400


def test_what_a_stopped_run_made_is_paired_by_a_button(client, project):
    run = make(project, parameters={"n": 2}, **ended("cancelled", progress=1204, total=9000))
    judge = make(project, kind="judging", **ended("cancelled", progress=7, total=9))
    text = page(client, project)
    assert "What was finished is kept: 1,204 of 9,000. Pairs are made at the end." in text
    assert text.count('value="pair"') == 1
    assert "Pair the 1,204" in text
    client.post(reverse("run", args=[project.slug, run.pk]), {"do": "pair"})
    run.refresh_from_db()
    assert (run.state, run.parameters["only_pair"]) == ("waiting", True)
    refused = client.post(reverse("run", args=[project.slug, judge.pk]), {"do": "pair"}, follow=True)
    assert "has no candidates that wait to be paired." in refused.content.decode()


def generated(run, prompt, index=0, **fields):
    messages = [{"role": "assistant", "content": fields.pop("text", "Four.")}]
    digest = hashlib.sha256(f"{prompt.pk} {index}".encode()).digest()
    return Candidate.objects.create(prompt=prompt, run=run, index=index, messages=messages, digest=digest, **fields)


def test_a_run_that_has_ended_shows_what_it_made_and_where_it_came_from(client, project, prompts):
    run = make(project, **ended("done", progress=11, total=11, result={"pairs": 1200}))
    generated(
        run,
        prompts[0],
        text="<b>Four</b>",
        model="m",
        revision="r1",
        strategy="elicitive",
        polarity="better",
        template_version="elicitive-1",
        seed=41,
        sampling={"temperature": 0.7, "top_k": 0, "stop": []},
        token_count=12,
        log_probability=-8.5,
        log_probability_quantiles=[-3.0, *[-1.0] * 9, 0.0],
        mean_entropy=1.25,
        branching_share=0.5,
        provenance={"toy": True, "rank": 1, "score": 0.123456, "values": {"style": "brief"}, "thought": "A & B"},
    )
    for index in range(1, 11):
        generated(run, prompts[1], index)
    url = reverse("run", args=[project.slug, run.pk])
    text = client.get(url).content.decode()
    assert text.count("<details") == 10
    facts = ["&lt;b&gt;Four&lt;/b&gt;", "What is 0?", "Meant to be better", "m @ r1", "elicitive, version elicitive-1"]
    facts += [">41<", "temperature 0.7", "top k 0", "-8.50 nats in all", "-3.00, -1.00", "1.25 nats per token"]
    facts += ["0.50 nats (log", "0.1235", "style brief", "A &amp; B", "<b>Toy</b>"]
    assert [fact for fact in facts if fact not in text] == []
    board = reverse("board", args=[project.slug])
    assert f'<a href="{board}?run={run.pk}">See its 1,200 pairs on the board</a>' in text
    assert f'href="{board}?run={run.pk}"' in page(client, project)
    assert client.get(f"{board}?run={run.pk}").status_code == 200
    # The drawer shows the same.
    assert "-8.50 nats in all" in page(client, project, f"?log={run.pk}")


def test_what_a_stopped_run_made_is_shown_and_what_a_running_one_makes_is_not(client, project, prompts):
    run = make(project, **ended("cancelled", progress=1, total=5))
    generated(run, prompts[0], text="Kept text.")
    url = reverse("run", args=[project.slug, run.pk])
    text = client.get(url).content.decode()
    assert "Kept text." in text
    assert "on the board" not in text
    Run.objects.filter(pk=run.pk).update(state="waiting", finished_at=None)
    assert "Kept text." not in client.get(url).content.decode()
    empty = make(project, **ended("failed", error="No."))
    assert "No candidate was kept." in client.get(reverse("run", args=[project.slug, empty.pk])).content.decode()
    judging = make(project, kind="judging", **ended("done"))
    assert "What it made" not in client.get(reverse("run", args=[project.slug, judging.pk])).content.decode()


def test_the_page_of_a_run_takes_no_more_queries_for_more_candidates(
    client, project, prompts, django_assert_max_num_queries
):
    run = make(project, **ended("done"))
    url = reverse("run", args=[project.slug, run.pk])
    for index in range(10):
        generated(run, prompts[index % 5], index)
    client.get(url)
    with django_assert_max_num_queries(12):
        assert client.get(url).content.decode().count("<details") == 10


# ---- starting a run --------------------------------------------------------------------------------------------------


def test_the_page_offers_a_run_before_anything_is_entered(client, project, model, prompts):
    text = page(client, project)
    assert "5 prompts × 4 = 20 candidates, at most 10,240 tokens." in text
    assert "No measurement yet" in text
    assert "Start: 20 candidates" in text


def test_the_button_starts_what_it_promised(client, project, lead, model, prompts, bells):
    answer = post(client, project, do="estimate")
    assert "Start: 20 candidates" in answer.content.decode()
    assert not Run.objects.exists()
    assert post(client, project, promised="20").status_code == 302
    run = Run.objects.get()
    assert (run.kind, run.state, run.seed, run.started_by) == ("generation", "waiting", 3, lead.user)
    assert (run.parameters["models"], run.parameters["n"]) == (["House model"], 4)
    assert run.estimate == {"units": 20, "tokens": 10_240, "measured_by": []}
    assert bells == [run.pk]
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


def test_a_judge_is_started_from_the_other_form(client, project, model, make_pair, bells):
    make_pair()
    make_pair()
    text = page(client, project, "?kind=judge")
    assert "2 pairs, each question in both orders: 4 calls" in text
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
