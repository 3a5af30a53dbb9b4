"""A run that generates: every candidate once, with its whole origin, whatever happens in between."""

from __future__ import annotations

from functools import partial

import pytest

from annotation import running
from annotation.errors import Refused
from annotation.generating import STRATEGIES, GenerationPlan
from annotation.models import Assignment, Candidate, Pair, Run
from annotation.phrasing import VALUE, publish
from annotation.running import Cancelled, Superseded
from tests.workers import holding
from tests.workers.holding import Opener
from tests.workers.stub import StubBackend, by_alphabet
from workers import generating
from workers.backends import CannotAnswer

pytestmark = pytest.mark.django_db


@pytest.fixture
def held(project):
    return partial(holding.held, project)


@pytest.fixture
def make_prompts(project):
    return partial(holding.make_prompts, project)


def plan(**fields):
    return GenerationPlan(**({"models": ("stub",)} | fields)).as_parameters()


def known(candidate):
    """What the strategy knows of it."""
    assert candidate.provenance is not None
    return candidate.provenance


def run_it(hold, open_model):
    return generating.execute(hold, open_model=open_model)


def test_every_prompt_gets_its_candidates_with_their_origin(held, make_prompts):
    prompts = make_prompts(3, language="en")
    hold = held("generation", plan(n=2, temperature=0.7, top_k=40, stop=("END",)))
    result = run_it(hold, Opener(StubBackend()))
    made = list(Candidate.objects.filter(run=hold.run).order_by("prompt_id", "index"))
    assert [(one.prompt_id, one.index) for one in made] == [(p.pk, i) for p in prompts for i in (0, 1)]
    one = made[0]
    assert (one.model, one.revision, one.strategy, one.template_version) == (
        "stub",
        "revision of stub",
        "plain",
        "plain-1",
    )
    assert one.sampling == {
        "temperature": 0.7,
        "top_p": 1.0,
        "top_k": 40,
        "min_p": 0.0,
        "max_tokens": 512,
        "stop": ["END"],
    }
    assert (one.log_probability, one.mean_entropy, one.branching_share) == (-2.0, 0.5, 0.4)
    assert one.log_probability_quantiles == [-1.0] * 11
    assert (one.truncated_entropies, one.truncated_log_probability) == ([0.4], -1.9)
    assert one.seed is not None
    assert one.text == f"stub wrote {one.seed} to What is 0 plus 0?"
    assert (one.characters, one.language, one.polarity) == (len(one.text), "en", "")
    assert one.provenance == {"finish": "stop", "toy": True}
    assert result["candidates"] == 6
    assert result["toys"] == ["stub"]
    hold.run.refresh_from_db()
    assert (hold.run.progress, hold.run.total) == (6, 6)
    assert "3 prompts, 2 candidates each, strategy plain." in hold.run.log


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_runs_and_pairs(held, make_prompts, name):
    make_prompts(2)
    facts = STRATEGIES[name]
    models = ("stub", "other") if facts.models == 2 else ("stub",)
    parameters = plan(models=models, strategy=name, n=2, scorer="judge" if facts.scorer else "")
    hold = held("generation", parameters)
    result = run_it(hold, Opener(StubBackend(answer=by_alphabet), StubBackend(model="other")))
    made = Candidate.objects.filter(run=hold.run)
    assert made.count() == 2 * 2 * facts.candidates == result["candidates"]
    # Two pairs per prompt where candidates contrast, else one of the two.
    assert result["pairs"] == Pair.objects.count() == (4 if facts.candidates == 2 else 2)
    assert {one.polarity for one in made} == ({"better", "worse"} if facts.polarity else {""})
    for pair in Pair.objects.select_related("first", "second"):
        assert pair.label == ""
        if facts.candidates == 2:
            assert {pair.first.polarity, pair.second.polarity} == {"better", "worse"}
            assert pair.first.index // 2 == pair.second.index // 2


def test_pairs_get_slots_and_their_texts_are_set(held, make_prompts, project):
    make_prompts(2)
    backend = StubBackend()
    # A toy's texts are marked and never handed out.
    backend.is_toy = False
    run_it(held("generation", plan(n=2)), Opener(backend))
    assert Assignment.objects.filter(project=project, annotator=None).count() == 2 * project.overlap
    assert all(one.html for one in Candidate.objects.all())


def test_a_second_attempt_makes_only_what_is_missing_and_the_same(held, make_prompts, monkeypatch):
    make_prompts(6)
    monkeypatch.setattr(generating, "TEXTS_AT_ONCE", 4)
    hold = held("generation", plan(n=2))
    whole = Opener(StubBackend())
    run_it(hold, whole)
    expected = list(Candidate.objects.order_by("prompt_id", "index").values_list("index", "seed", "messages"))
    Pair.objects.all().delete()
    # As after a kill: the last two batches are not there.
    late = list(Candidate.objects.order_by("-prompt_id").values_list("pk", flat=True)[:8])
    Candidate.objects.filter(pk__in=late).delete()

    again = Opener(StubBackend())
    run_it(held("generation", {}, run=hold.run), again)
    assert len(again.backends["stub"].asked) == 8
    found = list(Candidate.objects.order_by("prompt_id", "index").values_list("index", "seed", "messages"))
    assert found == expected

    nothing = Opener(StubBackend())
    result = run_it(held("generation", {}, run=hold.run), nothing)
    assert nothing.opened == []
    assert result["candidates"] == 12
    # "stub wrote 17 to What is 0 plus 0?" has nine words, each a token of the stub.
    assert result["tokens"] == 12 * 9
    # All of the run's, in whichever attempt they were made.
    assert result["pairs"] == Pair.objects.count() == 6


def test_a_crash_inside_a_batch_leaves_whole_units_only(held, make_prompts, monkeypatch):
    make_prompts(4)
    monkeypatch.setattr(generating, "TEXTS_AT_ONCE", 4)
    texts = iter(range(6))

    def die_in_the_second_batch(asked, seed):
        if next(texts, None) is None:
            raise MemoryError
        return f"text {seed}"

    hold = held("generation", plan(n=2))
    with pytest.raises(MemoryError):
        run_it(hold, Opener(StubBackend(write=die_in_the_second_batch)))
    assert Candidate.objects.count() == 4


def test_a_run_on_its_way_tells_how_many_tokens_its_candidates_have(held, make_prompts, monkeypatch):
    prompts = make_prompts(4)
    monkeypatch.setattr(generating, "TEXTS_AT_ONCE", 2)
    told = []

    def write(asked, seed):
        told.append(Run.objects.get().tokens)
        if len(told) == 6:
            raise KeyboardInterrupt
        return "three words here"

    hold = held("generation", plan(n=2))
    with pytest.raises(KeyboardInterrupt):
        run_it(hold, Opener(StubBackend(write=write)))
    assert told == [0, 0, 6, 6, 12, 12]
    # It died before it told the last ones: what goes on counts what is there.
    Run.objects.update(tokens=6)
    result = run_it(held("generation", None, run=hold.run), Opener(StubBackend(write=write)))
    assert told[6:] == [12, 12, 18, 18]
    assert Run.objects.get().tokens == result["tokens"] == 3 * 2 * len(prompts)


def test_it_stops_when_it_is_cancelled_and_keeps_what_is_recorded(held, make_prompts, monkeypatch):
    make_prompts(4)
    monkeypatch.setattr(generating, "TEXTS_AT_ONCE", 2)
    monkeypatch.setattr("workers.pacing.EVERY", 0.0)
    hold = held("generation", plan(n=2))

    def cancel_at_the_third(asked, seed):
        if Candidate.objects.count() == 2:
            Run.objects.filter(pk=hold.run.pk).update(cancel_requested=True)
        return f"text {seed}"

    with pytest.raises(Cancelled):
        run_it(hold, Opener(StubBackend(write=cancel_at_the_third)))
    assert Candidate.objects.count() == 2


def test_what_a_run_made_before_it_stopped_can_be_paired_and_the_rest_made_later(held, make_prompts, monkeypatch):
    make_prompts(6)
    monkeypatch.setattr(generating, "FAILURES_IN_A_ROW", 3)
    hold = held("generation", plan(n=2))
    # The endpoint goes away for good after two prompts.
    away = StubBackend(write=lambda asked, seed: f"text {seed}" if asked[8] in "01" else "REFUSE")
    with pytest.raises(Refused) as refusal:
        run_it(hold, Opener(away))
    hold.fail(error=str(refusal.value))
    run = Run.objects.get(pk=hold.run.pk)
    assert (run.state, run.progress, Pair.objects.count()) == ("failed", 4, 0)

    running.retry_run(run=run, only_pair=True)
    nothing = Opener(StubBackend())
    again = held("generation", {}, run=run)
    again.finish(result=run_it(again, nothing))
    run.refresh_from_db()
    assert (nothing.opened, Candidate.objects.count()) == ([], 4)
    assert (run.state, run.is_partial, run.missing) == ("done", True, 8)
    assert (run.result["pairs"], run.result["toys"]) == (Pair.objects.count(), ["stub"]) == (2, ["stub"])

    running.retry_run(run=run)
    rest = held("generation", {}, run=run)
    rest.finish(result=run_it(rest, Opener(StubBackend(write=lambda asked, seed: f"text {seed}"))))
    run.refresh_from_db()
    assert (run.missing, Candidate.objects.count(), Pair.objects.count()) == (0, 12, 6)


def test_a_worker_that_lost_the_run_records_nothing(held, make_prompts):
    make_prompts(1)
    hold = held("generation", plan(n=2))

    def lose_the_run(asked, seed):
        Run.objects.filter(pk=hold.run.pk).update(token="00000000-0000-4000-8000-000000000000")
        return "too late"

    with pytest.raises(Superseded):
        run_it(hold, Opener(StubBackend(write=lose_the_run)))
    assert Candidate.objects.count() == 0


def test_one_prompt_that_the_model_refuses_costs_one_prompt(held, make_prompts):
    make_prompts(4)
    hold = held("generation", plan(n=2))
    write = StubBackend(write=lambda asked, seed: "REFUSE" if "2 plus 2" in asked else f"text {seed}")
    result = run_it(hold, Opener(write))
    assert (result["candidates"], result["prompts_left_out"]) == (6, 1)
    hold.run.refresh_from_db()
    assert "was left out: The prompt is too long for this model." in hold.run.log


def test_what_was_left_out_is_made_by_a_retry_and_nothing_else_is(held, make_prompts):
    prompts = make_prompts(4)
    hold = held("generation", plan(n=2))
    away = StubBackend(write=lambda asked, seed: "REFUSE" if "2 plus 2" in asked else f"text {seed}")
    hold.finish(result=run_it(hold, Opener(away)))
    run = Run.objects.get(pk=hold.run.pk)
    assert (run.state, run.progress, run.total, run.is_partial) == ("done", 6, 8, True)
    assert run.result["left_out_because"] == "The prompt is too long for this model."
    running.retry_run(run=run)
    back = Opener(StubBackend(write=lambda asked, seed: f"text {seed}"))
    again = held("generation", {}, run=run)
    again.finish(result=run_it(again, back))
    assert len(back.backends["stub"].asked) == 2
    run.refresh_from_db()
    assert (run.progress, run.is_partial, run.result["prompts_left_out"], run.result["pairs"]) == (8, False, 0, 4)
    made = Candidate.objects.filter(run=run).order_by("prompt_id", "index").values_list("prompt_id", "index")
    assert list(made) == [(prompt.pk, index) for prompt in prompts for index in (0, 1)]
    assert Pair.objects.count() == 4


def test_a_model_that_refuses_everything_fails_the_run(held, make_prompts):
    make_prompts(9)
    hold = held("generation", plan(n=1))
    with pytest.raises(Refused, match="answered none of 5 prompts in a row"):
        run_it(hold, Opener(StubBackend(write=lambda asked, seed: "REFUSE")))


def test_a_run_that_made_nothing_has_failed(held, make_prompts):
    make_prompts(2)
    with pytest.raises(Refused, match=r"Nothing was made\. .* too long"):
        run_it(held("generation", plan()), Opener(StubBackend(write=lambda asked, seed: "REFUSE")))


def test_without_prompts_it_says_so(held):
    with pytest.raises(Refused, match="There are no prompts to generate from"):
        run_it(held("generation", plan()), Opener(StubBackend()))


def test_an_unknown_model_is_refused_with_its_name(held, make_prompts):
    make_prompts(1)

    def open_model(name):
        raise Refused(f"There is no model “{name}”. A site admin registers models.")

    with pytest.raises(Refused, match="no model “stub”"):
        run_it(held("generation", plan()), open_model)


def test_identical_candidates_are_left_out_and_counted(held, make_prompts):
    make_prompts(2)
    hold = held("generation", plan(n=3))
    same = StubBackend(write=lambda asked, seed: "It is  FOUR." if seed % 2 else "it is four.")
    result = run_it(hold, Opener(same))
    assert result["candidates"] == 6
    assert result["pairs"] == 0
    assert result["pairs_left_out"] == {"identical": 6}


def test_what_the_database_cannot_hold_is_taken_out(held, make_prompts):
    make_prompts(1)
    run_it(held("generation", plan(n=1)), Opener(StubBackend(write=lambda asked, seed: "a\0b\ud800c")))
    assert Candidate.objects.get().text == "ab?c"


def test_what_cannot_be_stored_is_left_out_of_a_thought_too(held, make_prompts):
    make_prompts(1)
    asked = plan(strategy="elicitive", n=1)
    run_it(held("generation", asked), Opener(StubBackend(write=lambda asked, seed: "a\0b\ud800c")))
    assert {known(one)["thought"] for one in Candidate.objects.all()} == {"ab?c"}


def test_the_thought_is_kept_with_its_candidate_and_is_none_itself(held, make_prompts):
    make_prompts(1)
    stub = StubBackend(write=lambda asked, seed: "I think." if "First think" in asked else "My answer.")
    run_it(held("generation", plan(strategy="elicitive", n=1)), Opener(stub))
    made = Candidate.objects.all()
    assert {one.text for one in made} == {"My answer."}
    assert {known(one)["thought"] for one in made} == {"I think."}


def test_best_and_worst_are_marked_and_paired_by_score(held, make_prompts):
    make_prompts(1)
    words = iter(["middle words here", "a b c", "extraordinarily longwinded", "some words"])
    stub = StubBackend(write=lambda asked, seed: next(words))
    hold = held("generation", plan(strategy="best_worst_of_n", n=4, scorer="likelihood"))
    run_it(hold, Opener(stub))
    made = {one.text: one for one in Candidate.objects.all()}
    assert (made["a b c"].polarity, known(made["a b c"])["rank"]) == ("better", 1)
    worst = made["extraordinarily longwinded"]
    assert (worst.polarity, known(worst)["rank"], known(worst)["n"]) == ("worse", 4, 4)
    assert known(worst)["score"] < known(made["a b c"])["score"]
    assert (known(worst)["scorer"], known(worst)["scorer_model"]) == ("likelihood", "stub")
    pair = Pair.objects.get()
    assert {pair.first.text, pair.second.text} == {"a b c", "extraordinarily longwinded"}


@pytest.mark.parametrize("scorer", ["likelihood", "judge"])
def test_an_empty_text_is_not_the_worst_one(held, make_prompts, scorer):
    make_prompts(2)
    words = iter(["a b c", "", "extraordinarily longwinded", "some words", "", "", " ", "alone"])
    stub = StubBackend(answer=by_alphabet, write=lambda asked, seed: next(words))
    result = run_it(held("generation", plan(strategy="best_worst_of_n", n=4, scorer=scorer)), Opener(stub))
    pair = Pair.objects.get()
    assert {pair.first.polarity, pair.second.polarity} == {"better", "worse"}
    assert all(one.text.strip() for one in (pair.first, pair.second))
    assert (result["pairs"], result["pairs_left_out"]) == (1, {"empty": 1})
    empty = [one for one in Candidate.objects.all() if not one.text.strip()]
    assert {(one.polarity, known(one)["score"]) for one in empty} == {("", None)}


@pytest.mark.parametrize("texts", [("one text", "other text", "third text"), ("", "alone", "")])
def test_where_no_score_is_the_best_no_candidate_is_meant_to_be(held, make_prompts, texts):
    # The stub always says A: a judge that looks at the place alone gives all of them the same.
    make_prompts(1)
    words = iter(texts)
    stub = StubBackend(write=lambda asked, seed: next(words))
    run_it(held("generation", plan(strategy="best_worst_of_n", n=3, scorer="judge")), Opener(stub))
    made = list(Candidate.objects.all())
    assert {one.polarity for one in made} == {""}
    assert {known(one)["rank"] for one in made} == {1, 2, 3}


def test_another_model_may_score(held, make_prompts):
    make_prompts(1)
    opened = Opener(StubBackend(), StubBackend(model="scorer"))
    parameters = plan(strategy="best_worst_of_n", n=2, scorer="judge", scorer_model="scorer")
    run_it(held("generation", parameters), opened)
    assert opened.opened == ["stub", "scorer"]
    assert {known(one)["scorer_model"] for one in Candidate.objects.all()} == {"scorer"}


def test_a_model_that_scores_its_own_texts_is_loaded_once(held, make_prompts):
    make_prompts(1)
    opened = Opener(StubBackend())
    run_it(held("generation", plan(strategy="best_worst_of_n", n=2, scorer="judge", scorer_model="stub")), opened)
    assert opened.opened == ["stub"]


@pytest.mark.parametrize("texts_at_once", [1, 64])
def test_what_a_scorer_cannot_score_is_left_out_with_its_reason(held, make_prompts, monkeypatch, texts_at_once):
    prompts = make_prompts(4)
    monkeypatch.setattr(generating, "TEXTS_AT_ONCE", texts_at_once)
    stub = StubBackend()
    score = stub.score

    def refuses(items, *, beat=None):
        if "2 plus 2" in items[0][0][-1]["content"]:
            raise CannotAnswer("stub is behind an endpoint, which cannot score.")
        return score(items, beat=beat)

    monkeypatch.setattr(stub, "score", refuses)
    hold = held("generation", plan(strategy="best_worst_of_n", n=2, scorer="likelihood"))
    result = run_it(hold, Opener(stub))
    assert (result["candidates"], result["prompts_left_out"], result["pairs"]) == (6, 1, 3)
    assert not Candidate.objects.filter(prompt=prompts[2]).exists()
    assert result["left_out_because"] == "stub is behind an endpoint, which cannot score."


@pytest.mark.parametrize("texts_at_once", [1, 64])
def test_a_scorer_that_scores_nothing_fails_the_run(held, make_prompts, monkeypatch, texts_at_once):
    make_prompts(9)
    monkeypatch.setattr(generating, "TEXTS_AT_ONCE", texts_at_once)
    stub = StubBackend()

    def refuses(items, *, beat=None):
        raise CannotAnswer("stub is behind an endpoint, which cannot score.")

    monkeypatch.setattr(stub, "score", refuses)
    hold = held("generation", plan(strategy="best_worst_of_n", n=2, scorer="likelihood"))
    with pytest.raises(Refused, match=r"none of 5 prompts in a row\. The last reason: stub is behind an endpoint"):
        run_it(hold, Opener(stub))


def test_system_messages_are_drawn_from_the_projects_own_values_as_they_were(held, make_prompts, project):
    text = "tone > manner > warm: Be warm.\ntone > manner > dry: Be dry.\nlength > size > brief: Be brief."
    publish(project=project, kind=VALUE, name="house", parts={"text": text})
    publish(project=project, kind=VALUE, name="house", parts={"text": text.replace("warm", "hot")})
    make_prompts(3)
    run_it(held("generation", plan(strategy="janus", n=2, values="house-1")), Opener(StubBackend()))
    made = list(Candidate.objects.order_by("prompt", "index"))
    assert {one.template_version for one in made} == {"house-1"}
    for one, other in zip(made[::2], made[1::2], strict=True):
        both = known(one), known(other)
        assert {told["values"]["tone"] for told in both} == {"manner > warm", "manner > dry"}
        assert {told["values"]["length"] for told in both} == {"size > brief"}
        assert all("- Be brief." in told["system"] for told in both)
        assert "Be hot." not in both[0]["system"] + both[1]["system"]


def test_two_models_are_loaded_one_after_the_other(held, make_prompts, monkeypatch):
    make_prompts(5)
    monkeypatch.setattr(generating, "TEXTS_AT_ONCE", 2)
    opened = Opener(StubBackend(), StubBackend(model="other"))
    run_it(held("generation", plan(models=("stub", "other"), strategy="leaderboard", n=1)), opened)
    assert opened.opened == ["stub", "other"]
    assert {(one.model, one.polarity) for one in Candidate.objects.all()} == {("stub", "better"), ("other", "worse")}
