"""Judging is blind: of what is known about a pair no byte reaches who judges it, and the sides give nothing away."""

from __future__ import annotations

import itertools
import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone
from scipy import stats

from annotation import assigning, calibrating, rendering
from annotation.models import (
    Annotator,
    Assignment,
    Candidate,
    Guideline,
    JudgeAnswer,
    Judgement,
    Pair,
    PrincipleVote,
    Project,
    Prompt,
    Rationale,
    Run,
    Span,
)
from curation.models import Measurement

pytestmark = pytest.mark.django_db

JUDGE = "/p/everyday/judge"
FETCH = {"X-Plumbline": "1"}
SERVED = 500
# Numbers that occur nowhere else: of difficulty, of a judge's answer, of a generation.
NUMBERS = {"difficulty": 0.618033988, "judge": 0.271828182, "log": -314.159265, "tokens": 299792458, "seed": 662607015}
SECRETS = [b"canary", b"618033988", b"271828182", b"314.159265", b"299792458", b"662607015"]
# Names of what is hidden: were one sent, its value would be next.
SECRETS += [
    b"is_gold",
    b"gold_",
    b"swapped",
    b"first_id",
    b"second_id",
    b'polarity": "better',
    b"difficulty",
    b'model":',
]


def prompts_of(project: Project, number: int) -> list[Prompt]:
    made = []
    for n in range(number):
        messages = [{"role": "user", "content": f"Question {n}?"}]
        made.append(
            Prompt(
                project=project,
                digest=n.to_bytes(32, "big"),
                messages=messages,
                html=rendering.render_prompt(messages),
                renderer=rendering.RENDERER,
                source="canary-prompt-source",
                tags=["canary-prompt-tag"],
                meta={"canary-prompt": "canary"},
                external_id=f"canary-prompt-{n}",
            )
        )
    return Prompt.objects.bulk_create(made, batch_size=500)


def candidates_of(prompts: list[Prompt], model: Any) -> list[Candidate]:
    made = []
    for n, prompt in enumerate(prompts):
        for side in (0, 1):
            messages = [{"role": "assistant", "content": f"Answer {n} of {'one' if side else 'another'} kind."}]
            made.append(
                Candidate(
                    prompt=prompt,
                    messages=messages,
                    digest=(2 * n + side).to_bytes(32, "big"),
                    html=rendering.render_candidate(messages),
                    renderer=rendering.RENDERER,
                    model=model(n, side),
                    revision="canary-revision",
                    strategy="canary-strategy",
                    polarity=("better", "worse")[side],
                    template_version="canary-template",
                    seed=NUMBERS["seed"],
                    sampling={"canary-sampling": 1},
                    provenance={"canary-provenance": "canary"},
                    token_count=NUMBERS["tokens"],
                    log_probability=NUMBERS["log"],
                )
            )
    return Candidate.objects.bulk_create(made, batch_size=500)


def fill(project: Project, number: int, *, model: Any, **hidden: Any) -> list[Pair]:
    """Pairs with one open slot each."""
    made = candidates_of(prompts_of(project, number), model)
    pairs = Pair.objects.bulk_create(
        Pair(
            project=project,
            prompt_id=made[2 * n].prompt_id,
            first=made[2 * n],
            second=made[2 * n + 1],
            rank=n,
            external_id=f"canary-pair-{n}",
            **hidden,
        )
        for n in range(number)
    )
    Assignment.objects.bulk_create(
        Assignment(project=project, pair=pair, slot=1, priority=pair.rank * 1_000_000 + 1) for pair in pairs
    )
    return pairs


@pytest.fixture
def known(project: Project, alice: Annotator, bob: Annotator) -> list[Pair]:
    """More pairs than are served, about which everything is known that a project can know."""
    hidden = {
        "source": "canary-source",
        "tags": ["canary-tag"],
        "marks": ["canary-mark"],
        "label": "first",
        "label_kind": "canary-label",
        "meta": {"canary-key": "canary-value"},
        "split": "canary-split",
    }
    pairs = fill(project, SERVED + 40, model=lambda n, side: f"canary-model-{n % 7}-{side}", **hidden)
    # One in four is a check whose answer is known.
    Pair.objects.filter(pk__in=[pair.pk for pair in pairs[::4]]).update(
        is_gold=True, gold_use="check", gold_verdict="second", gold_why="canary-why"
    )
    Assignment.objects.filter(pair__gold_use="check").delete()
    Project.objects.update(gold_rate=0.25, votes_policy="all")
    told = Guideline.objects.create(project=project, version=1, text="Be fair.", html="<p>Be fair.</p>")
    principle = project.principles.create(key="kind", short="Kind", text="Be kind.")
    told.places.create(principle=principle, position=1)
    Project.objects.update(guideline=told)
    _said(project, pairs, bob, principle)
    return pairs


def _said(project: Project, pairs: list[Pair], bob: Annotator, principle: Any) -> None:
    """What a colleague, a judge and a measure say of every pair."""
    run = Run.objects.create(project=project, kind="judging", code_version="t", parameters={"model": "canary-judge"})
    judge = Annotator.objects.create(
        project=project, kind="judge", name="canary-judge", external_id="canary-judge", model="canary-judge"
    )
    # Simulated, so that their seats count for nobody's overlap.
    for who, text in ((bob, "canary-vote"), (judge, "canary-verdict")):
        seats = Assignment.objects.bulk_create(
            Assignment(project=project, pair=pair, annotator=who, priority=0, done_at=timezone.now()) for pair in pairs
        )
        judged = Judgement.objects.bulk_create(
            Judgement(
                assignment=seat,
                annotator=who,
                key=uuid.uuid4(),
                verdict="prefer",
                strength=3,
                swapped=False,
                client="canary-client",
                confidence=NUMBERS["judge"],
            )
            for seat in seats
        )
        reasons = Rationale.objects.bulk_create(
            Rationale(pair_id=seat.pair_id, annotator=who, judgement=one, text=text, tags=["canary-reason"])
            for seat, one in zip(seats, judged, strict=True)
        )
        Span.objects.bulk_create(Span(rationale=why, start=0, end=4, tag="canary-span") for why in reasons)
        PrincipleVote.objects.bulk_create(
            PrincipleVote(pair_id=seat.pair_id, annotator=who, principle=principle, judgement=one, vote="second")
            for seat, one in zip(seats, judged, strict=True)
        )
    Rationale.objects.bulk_create(
        Rationale(
            pair=pair,
            annotator=judge,
            text="canary-machine-rationale",
            source="machine",
            template="canary-machine-template",
            explains="first",
            run=run,
        )
        for pair in pairs
    )
    JudgeAnswer.objects.bulk_create(
        JudgeAnswer(
            run=run,
            annotator=judge,
            pair=pair,
            swapped=order,
            probability_a=NUMBERS["judge"],
            probability_b=0.5,
            probability_na=0.1,
        )
        for pair in pairs
        for order in (False, True)
    )
    Measurement.objects.bulk_create(
        Measurement(run=run, metric="difficulty", pair=pair, value=NUMBERS["difficulty"], detail={"canary": 1})
        for pair in pairs
    )


def everything(client: Client, served: set[int]) -> Iterator[Any]:
    """Judge until enough pairs were served, and look into every other page and reply on the way."""
    page = client.get(JUDGE)
    yield page
    waiting = [page.context["item"], *page.context["upcoming"]]
    served |= {item["assignment"] for item in waiting}
    while len(served) < SERVED:
        item = waiting.pop(0)
        fields = {"assignment": item["assignment"], "key": item["key"], "verdict": ("a2", "b1", "bad")[len(served) % 3]}
        if len(served) % 25 == 0:
            yield client.get(f"{JUDGE}/{item['assignment']}/raw", headers=FETCH)
            yield client.get(f"{JUDGE}/guideline?assignment={item['assignment']}", headers=FETCH)
            draft = {"assignment": item["assignment"], "version": 1, "body": json.dumps({"note": "so"})}
            yield client.post(f"{JUDGE}/draft", draft, headers=FETCH)
        if len(served) % 50 == 1:
            # Answers that are refused are answered too.
            yield client.post(JUDGE, {**fields, "verdict": "none"}, headers=FETCH)
            yield client.post(JUDGE, {**fields, "assignment": 1}, headers=FETCH)
        answer = client.post(JUDGE, {**fields, "note": "So."}, headers=FETCH)
        yield answer
        following = answer.json()["item"]
        if following is not None:
            waiting.append(following)
            served.add(following["assignment"])
    mine = item["assignment"]
    for path in ("/p/everyday/answers", f"/p/everyday/answers/{mine}", "/p/everyday/training", "/p/everyday/guideline"):
        yield client.get(path)
    yield client.post(f"{JUDGE}/undo", headers=FETCH)
    yield client.get(JUDGE)


def test_of_what_is_known_no_byte_is_in_five_hundred_served_pairs(
    known: list[Pair], alice: Annotator, sign_in: Any
) -> None:
    served: set[int] = set()
    told, found = 0, []
    for answer in everything(sign_in(alice), served):
        sent = f"{answer.status_code} {answer.headers}".encode() + b"".join(answer)
        told += len(sent)
        # Which files a page loads is no secret; what it says of highlights is the annotator's own.
        found += [(secret, sent) for secret in SECRETS if secret in sent.replace(b"/static/", b"")]
    assert [secret for secret, _ in found] == []
    assert len(served) >= SERVED
    assert told > 1000 * SERVED / 2
    pairs = Pair.objects.filter(assignments__in=served)
    assert pairs.count() == len(served)
    assert 50 < pairs.filter(gold_use="check").count() < 250, "Checks are among them, and nothing tells them apart."
    assert Measurement.objects.filter(pair__in=pairs).count() == len(served)


@pytest.fixture
def numbered(alice: Annotator) -> int:
    """The numbers that sides are drawn from are the same whatever tests came before. Returns the annotator's."""
    first = 5_000_000
    with connection.cursor() as cursor:
        for table in ("pair", "assignment"):
            cursor.execute("SELECT setval(pg_get_serial_sequence(%s, 'id'), %s, false)", [table, first])
    # Nothing refers to her yet.
    Annotator.objects.filter(pk=alice.pk).update(id=first)
    return first


@pytest.mark.parametrize(("number", "are_checks"), [(2_000, False), (500, True)], ids=["of the queue", "checks"])
def test_which_side_a_candidate_stands_on_says_nothing_about_it(
    project: Project, alice: Annotator, numbered: int, number: int, are_checks: bool
) -> None:
    """Pairs are handed out. Half of the time the strong model, of a check the right one, is the first candidate.

    The draw goes by numbers and the project's seed, which are fixed: this test says the same every time.
    """
    fill(project, number, model=lambda n, side: "strong" if (n % 2 == 0) == (side == 0) else "weak")
    claim = assigning.claim
    if are_checks:
        for model, right in (("strong", "first"), ("weak", "second")):
            Pair.objects.filter(first__model=model).update(gold_verdict=right, gold_use="check", is_gold=True)
        Project.objects.update(gold_round=number, gold_pass=1)
        claim = calibrating.next_for
    sides = []
    with connection.cursor() as cursor:
        for _ in range(number):
            handed = claim(user_id=alice.user_id or 0, slug=project.slug)
            assert handed is not None
            sides.append(handed.swapped)
            cursor.execute(
                "UPDATE assignment SET done_at = now(), lease_until = NULL WHERE id = %s", [handed.assignment_id]
            )
    counts = [[0, 0], [0, 0]]
    for swapped, model in Assignment.objects.filter(annotator=numbered).values_list("swapped", "pair__first__model"):
        first_stands_left, first_is_strong = not swapped, model == "strong"
        counts[first_is_strong][first_stands_left] += 1
    assert sum(map(sum, counts)) == number
    assert stats.chi2_contingency(counts, correction=False).pvalue > 0.01
    left = [counts[1][1] + counts[0][0], counts[1][0] + counts[0][1]]
    assert stats.chisquare(left).pvalue > 0.01, "The strong model stands on either side equally often."
    assert stats.chisquare([sum(column) for column in zip(*counts, strict=True)]).pvalue > 0.01
    # Each draw stands for itself: what was drawn before says nothing about what comes.
    following = [[0, 0], [0, 0]]
    for one, other in itertools.pairwise(sides):
        following[one][other] += 1
    assert stats.chi2_contingency(following, correction=False).pvalue > 0.01
