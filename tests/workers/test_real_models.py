"""Generation and judging by real models, tiny and random: all strategies, and both orders."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from annotation import estimating, starting
from annotation.asking import JudgingPlan, request_judging
from annotation.generating import STRATEGIES, GenerationPlan, request_generation
from annotation.guiding import Entry, publish_guideline
from annotation.models import (
    Annotator,
    Candidate,
    JudgeAnswer,
    Judgement,
    LanguageModel,
    Pair,
    PrincipleVote,
    Rationale,
)
from tests.workers.backends import models
from tests.workers.holding import make_prompts
from workers import tasks
from workers.backends import load_backend

pytestmark = [pytest.mark.django_db, pytest.mark.gpu_stack]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    home = tmp_path_factory.mktemp("models")
    found = {}
    for kind in ("llama", "qwen2"):
        # Room for the examples that some strategies show.
        folder = models.save(home / kind, kind, max_position_embeddings=4096)
        found[kind] = load_backend(
            name=f"tiny-{kind}", kind="transformers_local", folder_or_url=str(folder), device="cpu"
        )
    return found


@pytest.fixture
def opened(loaded, monkeypatch):
    """Runs open the tiny models by their kinds; the registry has tests of its own."""
    from workers import generating, judging

    for module in (generating, judging):
        monkeypatch.setattr(module.execute, "__kwdefaults__", {"open_model": loaded.__getitem__})


@pytest.fixture
def work():
    """Let the worker do a run, and look at how it ended."""

    def do(run):
        tasks.run(run.pk)
        run.refresh_from_db()
        assert (run.state, run.error) == ("done", "")
        return run.result

    return do


def texts(run):
    return list(Candidate.objects.filter(run=run).order_by("prompt_id", "index").values_list("index", "messages"))


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_with_a_real_model(project, opened, work, name):
    make_prompts(project, 3)
    facts = STRATEGIES[name]
    plan = GenerationPlan(
        models=("llama", "qwen2") if facts.models == 2 else ("llama",),
        strategy=name,
        n=2,
        max_tokens=6,
        scorer="judge" if facts.scorer else "",
    )
    run = request_generation(project=project, plan=plan, seed=3)
    result = work(run)
    assert result["candidates"] == 3 * plan.per_prompt_count
    assert result["prompts_left_out"] == 0
    figures = (
        *("token_count", "log_probability", "log_probability_quantiles", "mean_entropy", "branching_share"),
        *("truncated_entropies", "truncated_log_probability"),
    )
    row: tuple[Any, ...]
    for row in Candidate.objects.filter(run=run).exclude(token_count=0).values_list(*figures):
        tokens, total, quantiles, entropy, branching, at_each, cut = row
        assert tokens <= 6
        assert total < 0
        assert len(quantiles) == 11
        assert entropy > 0
        assert branching >= 0
        assert len(at_each) == tokens
        assert total <= cut <= 0
    left_out = sum(result["pairs_left_out"].values())
    pairs_each = {"contrast": 2, "all": 1, "best_worst": 1, "across": 1}[facts.pairing]
    assert result["pairs"] + left_out == 3 * pairs_each


def test_the_same_seed_gives_the_same_candidates(project, opened, work):
    make_prompts(project, 4)
    plan = GenerationPlan(models=("llama",), n=2, max_tokens=6)
    runs = [request_generation(project=project, plan=plan, seed=seed) for seed in (3, 3, 4)]
    for run in runs:
        work(run)
    first, same, other = (texts(run) for run in runs)
    assert first == same != other


@pytest.mark.parametrize("template", ["oracle", "principle-last"])
def test_a_real_judge_in_both_orders(project, make_pair, opened, work, template):
    publish_guideline(
        project=project,
        text="Be good.",
        principles=[Entry("Kind", "The answer should be kind."), Entry("Brief", "The answer should be brief.")],
    )
    project.refresh_from_db()
    for _ in range(3):
        make_pair()
    plan = JudgingPlan(
        model="llama",
        template=template,
        asks=("overall", "principles", "injections", "rationales"),
        rationales=("general", "specific"),
        max_tokens=6,
    )
    result = work(request_judging(project=project, plan=plan))
    judge = Annotator.objects.judges().get()
    assert judge.name == f"tiny-llama · {template}-1"
    assert JudgeAnswer.objects.filter(injection="").count() == result["answers"] == 3 * 3 * 2
    assert PrincipleVote.objects.filter(annotator=judge).count() == 6
    assert Judgement.objects.filter(annotator=judge).count() == Pair.objects.count() == 3
    preferred = Judgement.objects.filter(verdict="prefer").count()
    assert Rationale.objects.filter(source="machine").count() <= 2 * preferred
    for one in JudgeAnswer.objects.all():
        assert 0 < one.probability_a + one.probability_b + one.probability_na <= 1.000001


def test_the_estimate_of_a_judging_is_from_what_a_real_run_took(project, make_pair, opened, work, lead, sign_in):
    now = timezone.now()
    LanguageModel.objects.create(
        name="llama",
        backend="transformers_local",
        location="/models/llama",
        allowed_at=now,
        is_sound=True,
        checked_at=now,
        check_said="Loaded.",
    )
    for _ in range(6):
        make_pair()
    page = reverse("runs", args=[project.slug]) + "?kind=judge"
    client = sign_in(lead)
    assert "No measurement yet" in client.get(page).content.decode()
    plan = JudgingPlan(model="llama", asks=("overall",))
    before = starting.offer(project=project, plan=plan).expected
    assert (before.units, before.tokens, before.time, before.measured_by) == (12, None, None, ())

    run = starting.start(project=project, plan=plan)
    work(run)
    speed = estimating.speed_of(run, now=now)
    assert run.tokens is not None
    assert run.tokens > 12 * 20  # Each question has more tokens than that.
    assert speed is not None
    assert speed.tokens is not None
    assert run.finished_at is not None
    assert run.pace_since is not None
    assert run.claimed_at is not None
    worked = (run.finished_at - run.pace_since).total_seconds()
    assert speed.tokens == pytest.approx(run.tokens / worked)
    assert speed.loading == pytest.approx((run.pace_since - run.claimed_at).total_seconds())

    for _ in range(6):
        make_pair()
    expected = starting.offer(project=project, plan=plan).expected
    assert (expected.units, expected.measured_by) == (24, (run.pk,))
    assert expected.tokens is not None
    assert expected.tokens == pytest.approx(2 * run.tokens, abs=1)
    assert expected.time is not None
    assert expected.time.likely == pytest.approx(expected.tokens / speed.tokens + speed.loading, rel=0.01)
    assert expected.time.early < expected.time.likely < expected.time.late
    asked = {"kind": "judge", "which": "all", "model": "llama", "template": "oracle", "asks": ["overall"], "seed": 0}
    text = client.post(page, asked | {"do": "estimate"}).content.decode()
    assert f"about {expected.tokens:,} tokens" in text
    assert f"Measured by run {run.pk}." in text
    # Reasons are hundreds of tokens each: verdicts say nothing about them.
    reasons = JudgingPlan(model="llama", asks=("overall", "rationales"))
    assert starting.offer(project=project, plan=reasons).expected.time is None
