"""The page of runs: what it shows, its form and its buttons; without script, and polled."""

from __future__ import annotations

import hashlib
import html
import re
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from annotation.models import Candidate, Run, Worker
from tests.annotation.run_pages import ended, five_prompts, make, page, sound_model

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


def test_a_running_generation_has_its_speed(client, project):
    now = timezone.now()
    held = {"token": "00000000-0000-4000-8000-000000000000", "lease_until": now, "attempt": 1, "claimed_at": now}
    since = now - timedelta(seconds=100)
    make(project, state="running", **held, pace_since=since, progress=100, total=900, tokens=118_000)
    assert re.search(r'data-l="Tokens/s">1,1[78]\d<', page(client, project))


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
