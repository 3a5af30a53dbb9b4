"""What the demo promises of its toy, with nothing in between: the register, the task, the real model, the pages."""

from __future__ import annotations

import pytest

from annotation import registering, starting
from annotation.asking import JudgingPlan
from annotation.demonstrating import SLUG, TOY, ensure_toy, load_demo
from annotation.errors import Refused
from annotation.generating import GenerationPlan
from annotation.models import Annotator, Assignment, Candidate, JudgeAnswer, Judgement, Pair, Prompt
from annotation.opening import open_extra_slots, open_slots
from workers import tasks, toy
from workers.opening import open_model

pytestmark = [pytest.mark.django_db, pytest.mark.gpu_stack]


def done(run):
    """Let the worker's task do the run."""
    tasks.run(run.pk)
    run.refresh_from_db()
    assert (run.state, run.error) == ("done", "")
    return run


@pytest.fixture
def demo(settings):
    settings.DEVICE = "cpu"
    demo = load_demo()
    model = ensure_toy()
    with pytest.raises(Refused, match="has not been checked"):
        registering.usable_model(TOY)
    done(registering.request_check(model=model))
    return demo


def test_the_toy_writes_and_judges_and_nothing_of_it_reaches_an_annotator(demo, client):
    project = demo.project
    here, slots = set(Pair.objects.values_list("pk", flat=True)), Assignment.objects.slots().count()
    assert registering.usable_model(TOY).revision

    # It writes: two prompts, two candidates each, with everything that is known of how.
    for prompt in Prompt.objects.filter(project=project).order_by("pk")[:2]:
        prompt.tags = [*prompt.tags, "two"]
        prompt.save(update_fields=["tags"])
    plan = GenerationPlan(models=(TOY,), n=2, max_tokens=12, tag="two")
    run = done(starting.start(project=project, plan=plan, seed=7))
    made = Candidate.objects.filter(run=run)
    assert made.count() == 4
    for one in made:
        assert (one.model, one.is_toy) == (TOY, True)
        assert one.revision == registering.usable_model(TOY).revision
        assert one.token_count is not None
        assert one.token_count <= 12
        assert one.log_probability is not None
        assert one.log_probability < 0
        assert one.log_probability_quantiles is not None
        assert one.log_probability_quantiles == sorted(one.log_probability_quantiles)
        assert len(one.log_probability_quantiles) == 11
        assert one.mean_entropy is not None
        assert one.mean_entropy > 0
    assert run.result["toys"] == [TOY]

    # Its pairs are marked, can be left out, and have no slot: not now, not when slots are opened anew, not on request.
    pairs = Pair.objects.exclude(pk__in=here)
    assert pairs.count() == 2
    assert set(pairs.values_list("marks__0", flat=True)) == {"toy"}
    open_slots(project=project)
    assert open_extra_slots(project=project, pairs=list(pairs.values_list("pk", flat=True)), more=2) == 0
    assert Assignment.objects.slots().count() == slots
    assert not Assignment.objects.filter(pair__in=pairs).exists()

    # It judges: its own two pairs and one more, each question in both orders.
    own = JudgingPlan(model=TOY, asks=("overall",), generation=run.pk)
    judging = done(starting.start(project=project, plan=own))
    done(starting.start(project=project, plan=JudgingPlan(model=TOY, asks=("overall",), limit=1)))
    judge = Annotator.objects.get(pk=judging.result["judge"])
    assert toy.NAME in judge.name
    answers = JudgeAnswer.objects.filter(annotator=judge)
    by_pair: dict[int, set[bool]] = {}
    for answer in answers:
        by_pair.setdefault(answer.pair_id, set()).add(answer.swapped)
        assert 0 < answer.probability_a + answer.probability_b + answer.probability_na <= 1.000001
    assert len(by_pair) == 3
    assert all(orders == {False, True} for orders in by_pair.values())
    assert Judgement.objects.filter(annotator=judge).count() == 3

    # An annotator is handed a pair of people's texts, and the page knows nothing of the toy.
    client.force_login(demo.annotator)
    page = client.get(f"/p/{SLUG}/judge").content.decode()
    held = Assignment.objects.filter(annotator__user=demo.annotator, lease_until__isnull=False)
    assert held.exists()
    assert not held.filter(pair__in=pairs).exists()
    assert TOY not in page
    assert not [one.text for one in made if len(one.text) > 20 and one.text in page]

    # Those who may know are told.
    client.force_login(demo.lead)
    runs = client.get(f"/p/{SLUG}/runs").content.decode()
    assert TOY in runs
    assert "<b>Toy</b>" in runs
    assert TOY in client.get(f"/p/{SLUG}/judges").content.decode()
    assert "simulated judge" in client.get(f"/p/{SLUG}/people").content.decode()
    drawer = client.get(f"/p/{SLUG}/board/pairs/{pairs[0].pk}").content.decode()
    assert drawer.count("toy text") == 2


def test_a_toy_that_is_not_registered_as_one_is_not_opened(settings):
    settings.MODEL_ROOTS = [str(toy.FOLDER.parent)]
    settings.DEVICE = "cpu"
    model = registering.register_model(name="gpt", backend="transformers_local", location="toy_model")
    registering.allow_model(model=model)
    run = registering.request_check(model=model)
    tasks.run(run.pk)
    model.refresh_from_db()
    assert model.is_sound is False
    assert "gpt is a toy and not registered as one" in model.check_said
    with pytest.raises(Refused, match="cannot be used"):
        open_model("gpt")
