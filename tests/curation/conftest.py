"""What the tests of curation need beside the cast: people who have said something."""

from __future__ import annotations

import hashlib
import json
import random
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


def _told(what: str, strength: int | None = 1, **fields: Any) -> dict[str, Any]:
    """The fields of a judgement that says so."""
    return {
        "verdict": {"first": "prefer", "second": "prefer"}.get(what, what),
        "strength": {"first": strength or 1, "second": -(strength or 1), "tie": 0}.get(what),
        "strength_known": strength is not None,
        "skip_reason": "cannot_judge" if what == "skip" else "",
        **fields,
    }


@pytest.fixture
def say() -> Callable[..., Any]:
    """Let an annotator judge a pair: `say(alice, pair, "first")`, `say(bob, pair, "second", 3)`."""
    from django.utils import timezone

    from annotation.models import Assignment, Judgement

    def judge(who: Any, pair: Any, what: str, strength: int | None = 1, **fields: Any) -> Any:
        revision = 1
        seat = Assignment.objects.filter(pair=pair, annotator=who).first()
        if seat is None:
            seat = Assignment.objects.create(
                pair=pair, annotator=who, project_id=pair.project_id, priority=0, done_at=timezone.now()
            )
        else:
            revision += seat.judgements.count()
            seat.judgements.filter(is_current=True).update(is_current=False)
        return Judgement.objects.create(
            assignment=seat,
            annotator=who,
            key=uuid.uuid4(),
            revision=revision,
            swapped=False,
            **_told(what, strength, **fields),
        )

    return judge


@pytest.fixture
def say_all() -> Callable[..., list[Any]]:
    """The same of many at once, where none of them has judged its pair before.

    `say_all([(alice, pair, "first", {}), (bob, pair, "second", {"strength": 3})])`
    """
    from django.utils import timezone

    from annotation.models import Assignment, Judgement

    def judge(said: Sequence[tuple[Any, Any, str, dict[str, Any]]]) -> list[Any]:
        now = timezone.now()
        seats = Assignment.objects.bulk_create(
            Assignment(pair=pair, annotator=who, project_id=pair.project_id, priority=0, done_at=now)
            for who, pair, _, _ in said
        )
        return Judgement.objects.bulk_create(
            Judgement(assignment=seat, annotator=who, key=uuid.uuid4(), swapped=False, **_told(what, **fields))
            for seat, (who, _, what, fields) in zip(seats, said, strict=True)
        )

    return judge


@pytest.fixture
def four(ranking_project: Any) -> list[Any]:
    """The four candidates of a prompt, each of another model, in a project that ranks."""
    from tests.lineups import answers

    return list(answers(ranking_project, 4, text="Why?").candidates.order_by("pk"))


@pytest.fixture
def pool(project: Any, make_pair: Callable[..., Any], say: Callable[..., Any], tmp_path: Path) -> Any:
    """Sixteen young people and six of middle age, all from here; nobody is old. On each pair three young outvote two of
    middle age.
    """
    from annotation.models import Annotator
    from curation import declaring

    young = [Annotator.objects.create(project=project, name=f"Y{n}", external_id=f"y{n}") for n in range(16)]
    middle = [Annotator.objects.create(project=project, name=f"M{n}", external_id=f"m{n}") for n in range(6)]
    for n in range(8):
        pair = make_pair(slots=0)
        for k in range(3):
            say(young[(3 * n + k) % 16], pair, "first")
        for k in range(2):
            say(middle[(2 * n + k) % 6], pair, "second")
    path = tmp_path / "declared.json"
    said = {one.external_id: {"age": "young", "place": "here"} for one in young}
    said |= {one.name: {"age": "middle", "place": "here"} for one in middle}
    path.write_text(json.dumps(said))
    declaring.declare(project=project, path=path)
    return project


@pytest.fixture
def same_connection(db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let a release read on the test's own connection, which alone sees what a test has not committed.

    Such tests are many times faster than those that commit; what the snapshot itself promises is tested with real ones.
    """
    from django.db import connections

    from curation import diffing, drafting, verifying, writing

    connection = connections["default"]

    @contextmanager
    def snapshot() -> Iterator[Any]:
        yield connection

    for module in (writing, verifying, diffing, drafting):
        monkeypatch.setattr(module, "snapshot", snapshot)
    # A statement that is torn off would take the test's own transaction with it, on a machine that does much else.
    monkeypatch.setattr(drafting, "PATIENCE", 600.0)
    connection.inc_thread_sharing()
    yield
    connection.dec_thread_sharing()


@pytest.fixture
def pairs(make_pair: Any, say: Any, alice: Any, bob: Any, adjudicator: Any) -> dict[str, Any]:
    """One pair for every way in which three people can end."""
    said = {
        "unanimous": ["first", "first", "first"],
        "two of three": ["second", "second", "first"],
        "tie": ["tie", "tie", "first"],
        "both bad": ["both_bad", "both_bad", "both_bad"],
        "split": ["first", "second", "tie"],
        "half": ["first", "tie", "skip"],
        "skipped": ["skip", "skip", "skip"],
        "empty": ["first", "first", "first"],
        "identical": ["first", "first", "first"],
        "excluded": ["first", "first", "first"],
        "unjudged": [],
    }
    made = {}
    for name, verdicts in said.items():
        marks = [name] if name in ("empty", "identical") else []
        made[name] = make_pair(slots=0, external_id=name, source="test", tags=["all"], marks=marks)
        for who, what in zip((alice, bob, adjudicator), verdicts, strict=False):
            say(who, made[name], what, 2)
    made["excluded"].excluded_at = made["excluded"].created_at
    made["excluded"].save()
    return made


@pytest.fixture
def robot(project: Any) -> Any:
    """A judge: a model that judges."""
    from annotation.models import Annotator

    return Annotator.objects.create(project=project, kind="judge", name="robot-1", model="robot")


@pytest.fixture
def crowd(project: Any) -> list[Any]:
    """Three people of files, without accounts."""
    from annotation.models import Annotator

    return [
        Annotator.objects.create(project=project, name=name, external_id=name)
        for name in ("expert_1", "expert_2", "author_1")
    ]


SURE = {"A": (0.9, 0.05, 0.05), "B": (0.05, 0.9, 0.05), "N": (0.1, 0.1, 0.8)}


@pytest.fixture
def oracle(project: Any) -> Any:
    """A judge as workers make them: a model with a template."""
    from annotation.asking import ensure_judge

    return ensure_judge(project=project, model="m", revision="r", template="oracle")


@pytest.fixture
def answer(project: Any, oracle: Any) -> Callable[..., None]:
    """Let a judge answer: `answer(pair, "AB")` says A when the first stands as A, and B when the second does."""
    from annotation.asking import Answer, Question, record_answers
    from annotation.models import Run

    run = Run.objects.create(project=project, kind="judging", code_version="test")

    def store(
        pair: Any, letters: str, *, principle: int | None = None, injection: str = "", into: str = "", judge: Any = None
    ) -> None:
        answers = [
            Answer(Question(pair.pk, principle, swapped, injection, into), *SURE[letter])
            for swapped, letter in zip((False, True), letters, strict=True)
        ]
        record_answers(run=run, judge=judge or oracle, answers=answers)

    return store


@pytest.fixture
def many(project: Any, make_pairs: Any, say_all: Any, crowd: Any) -> list[Any]:
    """Forty pairs with 0 to 3 judgements, some with votes and most with a difficulty; their facts are gathered."""
    from annotation.models import Principle, PrincipleVote
    from curation import gathering
    from curation.models import Measurement
    from tests.curation.finished import finished

    draw = random.Random(3)
    pairs: list[Any] = make_pairs([{"source": f"s{place % 3}", "external_id": f"p-{place}"} for place in range(40)])
    principles = [Principle.objects.create(project=project, key=f"k{n}", short=f"k{n}", text=".") for n in range(2)]
    run = finished(project, parameters={"measure": "difficulty", "model": "tiny"})
    said, votes, measured = [], [], []
    for place, pair in enumerate(pairs):
        for who in crowd[: place % 4]:
            what = draw.choice(["first", "first", "second", "tie"])
            said.append((who, pair, what, {"strength": draw.randint(1, 3)}))
        if place % 2:
            for principle in principles:
                says = draw.choice(["first", "second", "irrelevant"])
                votes.append(PrincipleVote(pair=pair, annotator=crowd[0], principle=principle, vote=says))
        if place % 5:
            measured.append(Measurement(run=run, metric="held_out_loss", pair=pair, value=draw.random()))
    say_all(said)
    PrincipleVote.objects.bulk_create(votes)
    Measurement.objects.bulk_create(measured)
    gathering.gather_facts(project=project)
    return pairs


def random_filter(draw: random.Random, dims: Any) -> Any:
    """One to four dimensions, an interval or some values of each; the unknown may be among them."""
    from curation.filters import Filter

    passing = {}
    for one in draw.sample(list(dims), draw.randint(1, 4)):
        if one.kind == "category":
            passing[one.key] = tuple(sorted(draw.sample(range(one.slots), draw.randint(1, one.slots))))
        else:
            low = draw.randrange(one.slots)
            passing[one.key] = tuple(range(low, draw.randint(low + 1, one.slots)))
    return Filter(passing)


@pytest.fixture
def varied(project: Any, make_pairs: Any, say_all: Any, alice: Any, bob: Any) -> list[Any]:
    """Sixteen pairs of eight prompts: tagged, doubled, flagged, measured, each with reasons, highlights and an edit."""
    import numpy as np

    from annotation.models import Edit, Rationale, Span
    from curation.arrays import store_pair_values
    from tests.curation.finished import finished

    wanted = []
    for n in range(16):
        # Words of each pair's own, but for two: what is nearly the same must not hang on the draw of the signatures.
        first = " ".join(hashlib.sha256(f"{5 if n == 6 else n} {k}".encode()).hexdigest()[:8] for k in range(200))
        texts = {"prompt": f"Question {n // 2}?", "first": first, "second": f"It does not, {n}."}
        wanted.append({"slots": 0, "tags": ["code"] * (n % 2), **texts})
    made: list[Any] = make_pairs(wanted)
    said = say_all(
        [
            (who, pair, "first", {"flags": ["harmful"] if n == 4 and who is bob else []})
            for n, pair in enumerate(made)
            for who in (alice, bob)
        ]
    )
    Edit.objects.bulk_create(
        Edit(judgement=one, candidate=pair.first, text="It hangs.", edit_distance=9)
        for one, pair in zip(said[::2], made, strict=True)
    )
    reasons = Rationale.objects.bulk_create(
        Rationale(pair=made[n // 2], annotator=one.annotator, judgement=one, text=f"So {n // 2}.", source="human")
        for n, one in enumerate(said)
    )
    Span.objects.bulk_create(
        Span(rationale=why, candidate=made[n // 2].first, start=n // 2, end=n // 2 + 9, polarity="hurts")
        for n, why in enumerate(reasons)
    )
    run = finished(project, finished_at=project.created_at)
    store_pair_values(
        run=run,
        metric="held_out_loss",
        pairs=[pair.pk for pair in made[:14]],
        values=np.arange(14.0)[::-1].copy(),
        n=np.ones(14, dtype=np.int64),
        undefined="none",
    )
    return made


@pytest.fixture
def waiting(project: Any, make_pair: Any) -> Any:
    """Let a pair wait: `waiting()` makes one, `waiting(pair)` sends one."""

    from curation.models import Adjudication

    def send(pair: Any = None) -> Adjudication:
        return Adjudication.objects.create(project=project, pair=pair or make_pair())

    return send


@pytest.fixture
def losses(project: Any) -> Any:
    """A finished measurement of difficulty for a model: `losses("tiny", {pair: 0.3})`."""

    from curation.models import Measurement
    from tests.curation.finished import finished

    def measure(model: str, values: dict[Any, float], metric: str = "held_out_loss") -> Any:
        run = finished(project, parameters={"measure": metric, "model": model})
        for pair, value in values.items():
            Measurement.objects.create(run=run, metric=metric, pair=pair, value=value)
        return run

    return measure


@pytest.fixture
def vote(project: Any) -> Any:
    """Let an annotator vote on principles: `vote(alice, pair, "first", "second", "irrelevant")`, one each."""

    from annotation.models import Principle, PrincipleVote

    def cast(who: Any, pair: Any, *votes: str) -> None:
        for place, says in enumerate(votes):
            principle, _ = Principle.objects.get_or_create(
                project=project, key=f"k{place}", defaults={"short": f"k{place}", "text": "."}
            )
            PrincipleVote.objects.create(pair=pair, annotator=who, principle=principle, vote=says)

    return cast
