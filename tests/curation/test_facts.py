"""The facts are what anybody would count by hand: one pair after the other, in plain Python, over random projects."""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from typing import Any

import pytest
from django.utils import timezone

from annotation.models import Annotator, Judgement, Pair, Principle, PrincipleVote, Run
from curation import gathering
from curation.dimensions import AGREEMENT, DIFFICULTY, DISCRETION, HARD, HIGH, LOW, REWARD
from curation.models import FactsState, Measurement, PairFact
from tests.curation.finished import finished

pytestmark = pytest.mark.django_db

SAYS = ("first", "second", "tie", "both_bad", "skip")


def measured(project: Any, metric: str, values: dict[Any, float | None], model: str) -> None:
    run = finished(project, parameters={"measure": metric, "model": model})
    for pair, value in values.items():
        said = {"value": value} if value is not None else {"reason": "It was not read."}
        Measurement.objects.create(run=run, metric=metric, pair=pair, **said)


def furnish(project: Any, make_pair: Any, say: Any, crowd: Any, robot: Any, draw: random.Random) -> list[Pair]:
    """Pairs about which everything was said that can be said, and about some nothing."""
    principles = [Principle.objects.create(project=project, key=f"k{n}", short=f"k{n}", text=".") for n in range(3)]
    pairs = []
    for place in range(24):
        # Some prompts have several pairs, some of these the same two texts.
        texts = draw.choice([{}, {"prompt": "Twice?", "first": "yes", "second": "no" * draw.randint(1, 2)}])
        pair = make_pair(
            source=draw.choice(["", "forum", "book"]),
            tags=draw.choice([[], ["code"], ["maths", "code"]]),
            split=draw.choice(["", "train", "test"]),
            is_gold=draw.random() < 0.2,
            external_id=f"p-{place}",
            excluded_at=timezone.now() if draw.random() < 0.1 else None,
            **texts,
        )
        pairs.append(pair)
        for who in draw.sample([*crowd, robot], draw.randint(0, 4)):
            for _ in range(draw.choice([1, 1, 2])):
                flags = draw.choice([[], [], ["harmful"]])
                say(who, pair, draw.choice(SAYS), draw.choice([1, 2, 3, None]), flags=flags)
        for principle in principles:
            for who in draw.sample([*crowd, robot], draw.choice([0, 0, 1, 3])):
                vote = draw.choice(["first", "second", "same", "irrelevant"])
                PrincipleVote.objects.create(pair=pair, annotator=who, principle=principle, vote=vote)
    values = [0.1, 0.2, 0.2, 0.9]
    for model in ("small", "tiny"):
        measured(
            project, "held_out_loss", {p: draw.choice([*values, None]) for p in pairs if draw.random() < 0.8}, model
        )
    measured(project, "log_likelihood_margin", {p: draw.uniform(-9, 9) for p in pairs if draw.random() < 0.7}, "tiny")
    measured(project, "reward_margin", {p: draw.uniform(-9, 9) for p in pairs if draw.random() < 0.7}, "rewarder")
    return pairs


def reliabilities(said: list[Judgement]) -> dict[int, float]:
    """How often each agrees with the others on a pair, drawn to the mean as by twenty meetings; .5 to 1.5."""
    same: Counter[int] = Counter()
    met: Counter[int] = Counter()
    for one in said:
        for other in said:
            if one != other and one.assignment.pair_id == other.assignment.pair_id:
                met[one.annotator_id] += 1
                same[one.annotator_id] += code(one) == code(other)
    mean = sum(same.values()) / sum(met.values()) if met else 0
    if not mean:
        return {}
    people = {one.annotator_id for one in said}
    return {who: min(max((same[who] + 20 * mean) / (met[who] + 20) / mean, 0.5), 1.5) for who in people}


def code(one: Judgement) -> str:
    if one.verdict != "prefer":
        return one.verdict
    assert one.strength is not None
    return "first" if one.strength > 0 else "second"


def counted(
    pair: Pair, current: list[Judgement], weights: dict[int, float], losses: dict[int, float], everybody: list[Pair]
) -> dict[str, Any]:
    """Everything that the facts say of one pair."""
    mine = [one for one in current if one.assignment.pair_id == pair.pk]
    people = [one for one in mine if not one.annotator.is_judge]
    said = [code(one) for one in people if one.verdict != "skip"]
    n, votes = len(said), Counter(said)
    counts = [votes[each] for each in SAYS[:4]]
    majority = next((each for each in SAYS[:4] if 2 * votes[each] > n), "")
    strengths = [
        one.strength for one in people if one.verdict != "skip" and one.strength_known and one.strength is not None
    ]
    heavy: defaultdict[str, float] = defaultdict(float)
    for one in people:
        if one.verdict != "skip":
            heavy[code(one)] += weights.get(one.annotator_id, 1)
    firsts, seconds, voted = favour(pair)
    category = (
        "" if not voted else "conflict" if firsts and seconds else "consensus" if firsts or seconds else "indifference"
    )
    tags = [*pair.tags, *pair.prompt.tags]
    texts = lambda one: (one.prompt_id, frozenset([str(one.first.messages), str(one.second.messages)]))  # noqa: E731
    twins = sum(texts(other) == texts(pair) for other in everybody) - 1
    flags = sum(bool(one.flags) for one in mine)
    a, b = pair.first.characters, pair.second.characters
    rank = sorted(losses.values())
    loss = losses.get(pair.pk)
    return {
        "is_excluded": pair.excluded_at is not None,
        "judgements": n,
        "skips": sum(one.verdict == "skip" for one in people),
        **dict(zip(("n_first", "n_second", "n_tie", "n_both_bad"), counts, strict=True)),
        "majority": majority,
        "share": max(counts) / n if n else None,
        "item_agreement": sum(c * (c - 1) for c in counts) / (n * (n - 1)) if n > 1 else None,
        "entropy": -sum(c / n * math.log(c / n) for c in counts if c) if n > 1 else None,
        "agreement": (max(heavy.values()) + 0.25) / (sum(heavy.values()) + 0.5) if n > 1 else None,
        "dissents": n - max(counts) if n else None,
        "strength": abs(sum(strengths) / len(strengths)) if strengths else None,
        "loss": loss,
        # The middle of the ranks of equal losses, as a share.
        "difficulty": None if loss is None
        else (sum(r < loss for r in rank) + sum(r <= loss for r in rank)) / 2 / len(rank),
        "discretion": category,
        "n_relevant": len(firsts) + len(seconds) if voted else None,
        "favour_first": firsts,
        "favour_second": seconds,
        "direction": None if category != "consensus" else 1 if firsts else -1,
        "arbitrary": None if not voted else 0 if category != "consensus" else votes["second" if firsts else "first"],
        "length_first": a,
        "length_second": b,
        "length_difference": {"first": a - b, "second": b - a}.get(majority),
        "language": pair.prompt.language,
        "source": pair.source,
        "tag": tags[0] if tags else "",
        "tags": tags,
        "split": pair.split,
        "duplicates": twins,
        "flags": flags,
        "is_gold": pair.is_gold,
        "annotators": sorted(one.annotator_id for one in mine if one.verdict != "skip"),
        "marked": marked(flagged=bool(flags), gold=pair.is_gold, duplicate=bool(twins)),
    }  # fmt: skip


def marked(**marks: bool) -> str:
    """All that is true of the pair: plain, gold only, flagged and gold."""
    true = [name for name, is_true in marks.items() if is_true]
    return " and ".join(true) if len(true) > 1 else f"{true[0]} only" if true else "plain"


def favour(pair: Pair) -> tuple[list[int], list[int], bool]:
    """The principles that ask for each: people's votes, judges' where no person voted; most of the voters decide."""
    votes = list(PrincipleVote.objects.filter(pair=pair).select_related("annotator"))
    people = [one for one in votes if not one.annotator.is_judge]
    by_principle: dict[int, list[str]] = {}
    for one in people or votes:
        by_principle.setdefault(one.principle_id, []).append(one.vote)
    firsts, seconds = [], []
    for principle, each in sorted(by_principle.items()):
        for_first, for_second = each.count("first"), each.count("second")
        neither = len(each) - for_first - for_second
        if for_first > max(for_second, neither):
            firsts.append(principle)
        if for_second > max(for_first, neither):
            seconds.append(principle)
    return firsts, seconds, bool(votes)


def reading(fact: PairFact) -> int:
    x, y, q, d = fact.b_difficulty, fact.b_agreement, fact.b_discretion, fact.b_dissents
    is_known, is_top = y < AGREEMENT.bins, HARD <= x < DIFFICULTY.bins
    if y < LOW and q == DISCRETION.values.index("conflict"):
        return 1
    if is_top and is_known and y >= HIGH:
        return 2
    return 3 if is_top and is_known and y >= LOW and q == DISCRETION.values.index("consensus") and d == 1 else 0


@pytest.mark.parametrize("seed", range(6))
def test_facts_are_what_is_counted_by_hand(
    project: Any, make_pair: Any, say: Any, crowd: Any, robot: Any, seed: int
) -> None:
    draw = random.Random(seed)
    pairs = furnish(project, make_pair, say, crowd, robot, draw)
    gathering.gather_facts(project=project)
    state = FactsState.objects.get(project=project)
    assert state.model == "tiny"
    current = list(Judgement.objects.current().select_related("annotator", "assignment"))
    weights = reliabilities([one for one in current if not one.annotator.is_judge and one.verdict != "skip"])
    assert state.weights == pytest.approx({str(who): value for who, value in weights.items()})
    in_play = {pair.pk for pair in pairs if pair.excluded_at is None}
    run = Run.objects.get(parameters__measure="held_out_loss", parameters__model="tiny")
    found = Measurement.objects.filter(run=run, pair__in=in_play, value__isnull=False)
    losses = {pair: value for pair, value in found.values_list("pair", "value") if value is not None}
    margins = dict(Measurement.objects.filter(metric="log_likelihood_margin").values_list("pair", "value"))
    rewards = dict(Measurement.objects.filter(metric="reward_margin").values_list("pair", "value"))
    assert state.values["reward"] == ["rewarder"]
    everybody = list(Pair.objects.filter(project=project).select_related("prompt", "first", "second"))
    for pair in everybody:
        fact = PairFact.objects.get(pair=pair)
        expected = counted(pair, current, weights, losses, everybody) | {"margin": margins.get(pair.pk)}
        expected |= {"reward_margin": rewards.get(pair.pk), "b_reward": REWARD.bin_of(rewards.get(pair.pk))}
        for name, value in expected.items():
            there = getattr(fact, name)
            assert there == (pytest.approx(value) if isinstance(value, float) else value), (pair, name)
        assert fact.b_reading == reading(fact)
    assert state.pairs == len(in_play)
    assert Annotator.objects.count() >= len(weights)


@pytest.mark.parametrize("seed", range(3))
def test_what_is_gathered_in_parts_is_what_is_gathered_whole(
    project: Any, make_pair: Any, say: Any, crowd: Any, robot: Any, seed: int
) -> None:
    """New judgements and changed ones: only what hangs on everybody's reliability waits for the whole."""
    from annotation import running

    draw = random.Random(seed)
    pairs = furnish(project, make_pair, say, crowd, robot, draw)
    gathering.gather_facts(project=project)
    for pair in draw.sample(pairs, 8):
        say(draw.choice(crowd), pair, draw.choice(SAYS), draw.choice([1, 3]))
    run = gathering.ask_for_facts(project=project, actor=None, is_whole=False)
    hold = running.claim(run_id=run.pk, worker="test")
    if hold is not None:
        hold.finish(result=gathering.execute(hold))
    assert not FactsState.objects.get(project=project).is_whole
    part = {fact.pk: fact for fact in PairFact.objects.all()}
    gathering.gather_facts(project=project)
    hangs = {"agreement", "b_agreement", "b_reading"}
    for fact in PairFact.objects.all():
        for field in PairFact._meta.concrete_fields:
            if field.name not in hangs:
                assert getattr(fact, field.attname) == getattr(part[fact.pk], field.attname), field.name
