"""What makes prompts and candidates the same, the drawn order, and which candidates are paired."""

from __future__ import annotations

import numpy as np
import pytest
from django.db import IntegrityError, transaction
from hypothesis import given
from hypothesis import strategies as st

from annotation.generating import PAIRING_TITLES
from annotation.models import Assignment, Candidate, Pair, Project, Prompt, Run
from annotation.pairing import (
    PAIRINGS,
    Entrant,
    Paired,
    as_json,
    candidate_digest,
    choose_pairs,
    generated_digest,
    messages_json,
    next_rank,
    pair_candidates,
    prompt_digest,
    shuffle_key,
)


def test_the_same_conversation_is_one_prompt() -> None:
    one = as_json([{"role": "user", "content": "ü"}])
    assert one == '[{"role":"user","content":"ü"}]'
    assert prompt_digest(one) == prompt_digest(one)
    assert len(prompt_digest(one)) == 32
    assert len({prompt_digest(one), prompt_digest(one, "s"), prompt_digest(as_json([]), "s")}) == 3


@given(st.lists(st.text(alphabet=st.characters(codec="utf-8")) | st.text('"\\\n\r\t\b\x00\x1f/é'), max_size=3))
def test_messages_are_written_as_json_writes_them(contents: list[str]) -> None:
    messages = [{"role": "user", "content": content} for content in contents]
    assert messages_json(messages) == as_json(messages).encode()


def test_half_a_character_cannot_be_written() -> None:
    with pytest.raises(UnicodeEncodeError):
        messages_json([{"role": "user", "content": "half \ud83d"}])


def test_text_model_and_ordinal_tell_candidates_apart() -> None:
    digests = {
        candidate_digest(said, model, ordinal) for said in ("[1]", "[2]") for model in ("", "m") for ordinal in (0, 1)
    }
    assert len(digests) == 8


def test_the_order_depends_on_the_seed_and_every_part() -> None:
    keys = {shuffle_key(seed, *parts) for seed in (0, 1, 2**62) for parts in (("a", "b"), ("ab",), ("b", "a"))}
    assert len(keys) == 9
    assert all(0 <= key < 2**63 for key in keys)
    assert shuffle_key(7, "s", "x") == shuffle_key(7, "s", "x")


def test_nan_is_no_json() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        as_json(float("nan"))


@pytest.mark.django_db(transaction=True)
def test_the_next_rank_is_held_until_the_transaction_ends(project: Project, make_pair: object) -> None:
    with pytest.raises(transaction.TransactionManagementError):
        next_rank(project=project)
    with transaction.atomic():
        assert next_rank(project=project) == 0
    make_pair(rank=41)  # type: ignore[operator]
    with transaction.atomic():
        assert next_rank(project=project) == 42


# ---- which candidates are paired -------------------------------------------------------------------------------------


def entrants(*texts: str, **fields: object) -> list[Entrant]:
    return [Entrant(text, ("m",), number=n, **fields) for n, text in enumerate(texts)]  # type: ignore[arg-type]


def chosen(found: list[Entrant], rule: str, *, near: float = 0.9, per_prompt: int = 1, seed: int = 1) -> Paired:
    return choose_pairs(found, rule=rule, near=near, per_prompt=per_prompt, rng=np.random.default_rng(seed))


def test_every_rule_has_words() -> None:
    assert set(PAIRING_TITLES) == {*PAIRINGS, "none"}


def test_all_pairs_of_different_candidates() -> None:
    assert chosen(entrants("one", "two", "three"), "all").places == [(0, 1), (0, 2), (1, 2)]


def test_what_says_the_same_is_left_out_and_counted() -> None:
    near = "a b c d e f g h i j k l m n o p q r s t u v w x y z"
    found = chosen(entrants("One.", "one. ", near, f"{near} and", "", "two"), "all", near=0.9)
    # The second "one" asks what the first asks already; so do its pairs.
    assert found.places == [(0, 2), (0, 3), (0, 5), (2, 5), (3, 5)]
    assert found.left_out == {"identical": 1, "near_identical": 1, "empty": 5, "repeated": 3}
    assert sum(found.left_out.values()) + len(found.places) == 15


def test_a_threshold_of_one_leaves_out_identical_ones_only() -> None:
    assert chosen(entrants("a b c d", "a b c e"), "all", near=1.0).places == [(0, 1)]
    assert chosen(entrants("a b c d", "a b c e"), "all", near=0.3).left_out == {"near_identical": 1}


def test_sampled_pairs_are_drawn_from_those_that_differ_and_all_as_often() -> None:
    found = entrants("one", "One", "two", "three")
    times = np.zeros((4, 4))
    for seed in range(900):
        for pair in chosen(found, "sampled", per_prompt=1, seed=seed).places:
            times[pair] += 1
    # Three different questions remain: 300 each, within five standard deviations.
    drawn = times[times > 0]
    assert len(drawn) == 3
    assert (np.abs(drawn - 300) < 5 * (900 * 2 / 9) ** 0.5).all()
    assert len(chosen(found, "sampled", per_prompt=9).places) == 3
    assert chosen(found, "sampled", seed=4) == chosen(found, "sampled", seed=4)


def test_contrast_pairs_better_with_worse_of_the_same_number() -> None:
    found = [Entrant(f"{polarity} {n}", ("m",), polarity, number=n) for n in (0, 1) for polarity in ("better", "worse")]
    assert chosen(found, "contrast").places == [(0, 1), (2, 3)]
    assert chosen(found[:1], "contrast").places == []


def test_best_and_worst_are_of_one_system() -> None:
    found = [Entrant(f"{m} {rank}", (m,), rank=rank) for m in "ab" for rank in (2, 1, 3)]
    assert chosen(found, "best_worst").places == [(1, 2), (4, 5)]
    assert chosen(found[:1], "best_worst").places == []


def test_the_worst_is_the_worst_of_those_that_say_something() -> None:
    texts = {1: "best", 2: "middling", 3: "bad", 4: "", 5: " \n"}
    found = [Entrant(text, ("m",), rank=rank) for rank, text in texts.items()]
    assert chosen(found, "best_worst") == Paired([(0, 2)])
    # Without two of them there is nothing to compare, and that is counted.
    assert chosen([found[0], found[3]], "best_worst").left_out == {"empty": 1}


def test_across_pairs_no_two_of_one_system() -> None:
    found = [Entrant(f"{m} {n}", (m,)) for m in "ab" for n in (0, 1)]
    assert chosen(found, "across").places == [(0, 2), (0, 3), (1, 2), (1, 3)]


def test_the_same_text_of_one_run_is_two_candidates() -> None:
    digests = {generated_digest("[1]", run=run, index=index) for run in (1, 11) for index in (1, 11)}
    assert len(digests) == 4


@pytest.fixture
def run(project: Project) -> Run:
    return Run.objects.create(project=project, kind="generation", code_version="test", seed=3)


def generate(project: Project, run: Run, number: int, texts: tuple[str, ...] = ("one", "two", "three")) -> list[int]:
    """So many prompts of `project` with candidates of `run`."""
    made = []
    for n in range(number):
        messages = [{"role": "user", "content": f"Question {n}"}]
        prompt = Prompt.objects.create(project=project, messages=messages, digest=prompt_digest(as_json(messages)))
        for index, text in enumerate(texts):
            said = [{"role": "assistant", "content": text}]
            digest = generated_digest(as_json(said), run=run.pk, index=index)
            Candidate.objects.create(
                prompt=prompt,
                messages=said,
                digest=digest,
                run=run,
                index=index,
                polarity=("better", "worse")[index % 2],
            )
        made.append(prompt.pk)
    return made


@pytest.mark.django_db
def test_pairs_are_stored_once_with_slots_and_without_a_label(project: Project, run: Run) -> None:
    prompts = generate(project, run, 2)
    asked = {"run": run, "prompts": prompts, "rule": "all", "near": 0.9, "per_prompt": 1}
    assert pair_candidates(**asked) == (6, {})  # type: ignore[arg-type]
    assert pair_candidates(**asked) == (0, {})  # type: ignore[arg-type]
    pairs = Pair.objects.filter(project=project)
    assert sorted(pairs.values_list("rank", flat=True)) == list(range(6))
    assert set(pairs.values_list("label", "source")) == {("", f"run {run.pk}")}
    assert Assignment.objects.filter(project=project).open().count() == 6 * project.overlap


def test_pairs_come_with_their_slots_or_not_at_all(project: Project, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing else holds them together: a pair whose slots failed would be judged by nobody."""

    def no_room(**_: object) -> None:
        raise OSError("No space left on device.")

    monkeypatch.setattr("annotation.pairing.open_slots", no_room)
    prompts = generate(project, run, 2)
    with pytest.raises(OSError, match="No space left"):
        pair_candidates(run=run, prompts=prompts, rule="all", near=0.9, per_prompt=1)
    assert not Pair.objects.filter(project=project).exists()


@pytest.mark.django_db
def test_what_was_drawn_is_drawn_again(project: Project, run: Run) -> None:
    prompts = generate(project, run, 5)
    asked = {"run": run, "prompts": prompts, "rule": "sampled", "near": 0.9, "per_prompt": 1}
    pair_candidates(**asked)  # type: ignore[arg-type]
    before = set(Pair.objects.values_list("first", "second"))
    Pair.objects.all().delete()
    pair_candidates(**asked)  # type: ignore[arg-type]
    assert set(Pair.objects.values_list("first", "second")) == before


@pytest.mark.django_db
@pytest.mark.parametrize(("per_prompt", "after"), [(1, 1), (2, 2), (4, 4), (9, 6)])
def test_what_came_later_is_paired_up_to_what_was_asked_for(
    project: Project, run: Run, per_prompt: int, after: int
) -> None:
    """A run that stopped is paired as it is, and goes on later: its pairs stay, and no prompt gets more."""
    prompts = generate(project, run, 6, ("one", "two", "three", "four"))
    rest = Candidate.objects.filter(index=3)
    later = list(rest.values("prompt_id", "messages", "digest", "run_id", "index"))
    rest.delete()
    asked = {"run": run, "prompts": prompts, "rule": "sampled", "near": 0.9, "per_prompt": per_prompt}
    pair_candidates(**asked)  # type: ignore[arg-type]
    before = set(Pair.objects.values_list("first", "second"))
    assert len(before) == 6 * min(per_prompt, 3)
    Candidate.objects.bulk_create(Candidate(**one) for one in later)
    for _ in range(2):
        pair_candidates(**asked)  # type: ignore[arg-type]
        pairs = list(Pair.objects.values_list("prompt", "first", "second"))
        assert before <= {(first, second) for _, first, second in pairs}
        assert {prompt: sum(one == prompt for one, _, _ in pairs) for prompt in prompts} == dict.fromkeys(
            prompts, after
        )


@pytest.mark.django_db
def test_what_says_the_same_as_a_pair_that_is_there_asks_nothing_again(project: Project, run: Run) -> None:
    [prompt] = generate(project, run, 1, ("ONE", "one", "two"))
    first = Candidate.objects.filter(index=0)
    [held_back] = first.values("prompt_id", "messages", "digest", "run_id", "index")
    first.delete()
    asked = {"run": run, "prompts": [prompt], "rule": "all", "near": 0.9, "per_prompt": 1}
    assert pair_candidates(**asked) == (1, {})  # type: ignore[arg-type]
    Candidate.objects.create(**held_back)
    assert pair_candidates(**asked) == (0, {"identical": 1, "repeated": 1})  # type: ignore[arg-type]


# ---- what the database refuses ---------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_the_table_refuses_a_pair_whose_candidates_answer_another_prompt(project, make_pairs) -> None:
    one, other = make_pairs([{"prompt": "One?"}, {"prompt": "Other?"}])
    elsewhere = Project.objects.create(slug="elsewhere", name="Elsewhere")
    rank = next_rank(project=project)
    first, second = sorted([one.first_id, other.first_id])
    for home, prompt, a, b in (
        (project, one.prompt_id, first, second),
        (project, other.prompt_id, *sorted([one.first_id, one.second_id])),
        (elsewhere, one.prompt_id, *sorted([one.first_id, one.second_id])),
    ):
        Pair.objects.filter(first=a, second=b).delete()
        with pytest.raises(IntegrityError, match="pair_is_of_one_prompt"), transaction.atomic():
            Pair.objects.create(project=home, prompt_id=prompt, first_id=a, second_id=b, rank=rank)


@pytest.mark.django_db
def test_what_a_pair_is_made_of_stays(make_pairs) -> None:
    one, other = make_pairs([{"prompt": "One?"}, {"prompt": "Other?"}])
    elsewhere = Project.objects.create(slug="elsewhere", name="Elsewhere")
    for rows, fields, name in (
        (Pair.objects.filter(pk=one.pk), {"prompt": other.prompt}, "pair_stays_of_one_prompt"),
        (Pair.objects.filter(pk=one.pk), {"project": elsewhere}, "pair_stays_of_one_prompt"),
        (Candidate.objects.filter(pk=one.first_id), {"prompt": other.prompt}, "candidate_stays_with_its_prompt"),
        (Prompt.objects.filter(pk=one.prompt_id), {"project": elsewhere}, "prompt_stays_in_its_project"),
    ):
        with pytest.raises(IntegrityError, match=name), transaction.atomic():
            rows.update(**fields)
    # A save of every column that changes none of these is no change.
    one.save()
    one.first.save()
    one.prompt.save()
