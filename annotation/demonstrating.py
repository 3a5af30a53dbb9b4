"""Nothing -> the demo project: our own prompts, judged by simulated annotators whose skill and bias are known.

Everything goes the real way: the import writes prompts, candidates and pairs, the guideline is published, slots are
opened by assigning. Only the judgements are drawn (annotation/simulating.py), from annotators and judges whose names
begin with "Simulated" and who are marked so in the database. Some slots stay open, so that a newcomer has something to
judge.

The toy model that comes along is registered and allowed here, so that generation and judging can be tried as well.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from django.db import connection, transaction
from django.utils import timezone

from annotation import guiding, registering, simulating, simulating_reasons
from annotation.asking import Answer, JudgingPlan, Question, record_answers
from annotation.errors import Refused
from annotation.founding import found_project
from annotation.importing import import_pairs
from annotation.models import (
    Annotator,
    Assignment,
    Candidate,
    Guideline,
    JudgeAnswer,
    Judgement,
    LanguageModel,
    Offer,
    Pair,
    PrincipleVote,
    Project,
    Prompt,
    Rationale,
    Reaction,
    Role,
    Run,
    SkipReason,
    User,
)
from annotation.recording import record
from annotation.running import claim, request_run

FOLDER = Path(__file__).resolve().parent / "demo"
SLUG = "demo"
LEAD = "lead@demo.invalid"
ANNOTATOR = "annotator@demo.invalid"
COMMAND = "load_demo"
TOY, TOY_LOCATION = "plumbline-toy", "shipped:toy"
SEED = 20260101
# Shares of pairs: with open slots left; with the reason written for this pair, not one that fits any.
OPEN_SHARE = 0.45
OWN_REASON_SHARE = 0.45
DAYS = 12.0
PER_SITTING = 14
FILLED = (
    Annotator,
    Assignment,
    Candidate,
    JudgeAnswer,
    Judgement,
    Offer,
    Pair,
    PrincipleVote,
    Prompt,
    Rationale,
    Reaction,
)
# Any number, the same in every process: whoever holds it may load the demo.
LOAD_LOCK = 7_234_002


@dataclass(frozen=True)
class Demo:
    """The demo project and the two accounts by which it can be entered. They have no password: links let people in."""

    project: Project
    lead: User
    annotator: User
    is_new: bool


@transaction.atomic
def load_demo(*, now: datetime | None = None) -> Demo:
    """Load the demo project unless it is there. All or nothing: an interrupted load leaves nothing behind.

    `now` is when the last simulated judgement may have been given, at the latest.

    Raises:
        Refused: there is another project at the demo's address.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOAD_LOCK])
    project = Project.objects.filter(slug=SLUG).first()
    if project is not None:
        if not project.is_demo:
            raise Refused(
                f"There is a project at the address {SLUG!r} that is not the demo. Give that one another address."
            )
        return Demo(project, User.objects.get(email=LEAD), User.objects.get(email=ANNOTATOR), is_new=False)

    lead = _account(LEAD, "Demo Lead")
    project = found_project(
        name="Demo: everyday questions",
        slug=SLUG,
        state=Project.State.JUDGING,
        actor=lead,
        description="A project to try things out. Its judgements are simulated: no person made them.",
    )
    project.is_demo, project.seed = True, SEED
    # A larger control than usual, so that so few judgements say something.
    project.machine_reasons, project.control_share = Project.MachineReasons.ONE, 0.35
    # One pair in five is asked principle by principle, as whoever tries the page should see.
    project.votes_policy = Project.VotesPolicy.SAMPLE
    project.save(update_fields=["is_demo", "seed", "machine_reasons", "control_share", "votes_policy"])
    annotator = _account(ANNOTATOR, "Demo Annotator")
    Annotator.objects.create(project=project, user=annotator, role=Role.ANNOTATOR, name=str(annotator))

    now = now or timezone.now()
    guideline = _publish(project, lead, now)
    import_pairs(project=project, path=FOLDER / "pairs.jsonl", actor=lead)
    _simulate(project, guideline, now)
    _simulate_judges(project, guideline)
    _simulate_reasons(project)
    with connection.cursor() as cursor:
        # Figures are read next: a planner that takes the tables for empty would look up every row in turn.
        cursor.execute(f"ANALYZE {', '.join(model._meta.db_table for model in FILLED)}")
    record(act="demo.load", subject=project.slug, command=COMMAND, project=project)
    project.refresh_from_db()
    return Demo(project, lead, annotator, is_new=True)


def ensure_toy() -> LanguageModel:
    """The toy in the register: found, or registered and allowed. A toy that was withdrawn stays so."""
    found = LanguageModel.objects.filter(name=TOY).first()
    if found is not None:
        return found
    toy = registering.register_model(
        name=TOY, backend=registering.LOCAL, location=TOY_LOCATION, is_toy=True, command=COMMAND
    )
    return registering.allow_model(model=toy, command=COMMAND)


def is_loaded() -> bool:
    return Project.objects.filter(slug=SLUG, is_demo=True).exists()


def _account(email: str, name: str) -> User:
    return User.objects.filter(email=email).first() or User.objects.create_user(email, name=name)


def _lines(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (FOLDER / name).read_text(encoding="utf-8").splitlines()]


def _publish(project: Project, lead: User, now: datetime) -> Guideline:
    """Older than the first simulated judgement: nobody judges by a guideline that is not written yet."""
    entries = [guiding.Entry(short=line["short"], text=line["text"]) for line in _lines("principles.jsonl")]
    text = (FOLDER / "guideline.md").read_text(encoding="utf-8")
    return guiding.publish_guideline(
        project=project, text=text, principles=entries, actor=lead, at=now - timedelta(days=DAYS + 1)
    )


# ---- simulated judgements ------------------------------------------------------------------------------------------


@dataclass
class _Answer:
    """One drawn judgement, before its annotator's sittings give it a time."""

    assignment: Assignment
    who: int
    said: simulating.Said
    seconds: float
    skip_reason: str
    reason: dict[str, Any] | None


def _simulate(project: Project, guideline: Guideline, now: datetime) -> None:
    told = json.loads((FOLDER / "annotators.json").read_text(encoding="utf-8"))
    cast = [simulating.Simulated(**{k: v for k, v in who.items() if k != "note"}) for who in told["annotators"]]
    members = Annotator.objects.bulk_create(
        Annotator(project=project, name=who.name, external_id=f"simulated-{who.seed}", is_simulated=True)
        for who in cast
    )
    answers = _draw(project, cast, told["rationales"])
    times: dict[int, datetime] = {}
    for number, who in enumerate(cast):
        mine = [answer for answer in answers if answer.who == number]
        at = simulating.session_times(
            seconds=[answer.seconds for answer in mine],
            until=now - timedelta(minutes=20),
            days=DAYS,
            per_session=PER_SITTING,
            rng=np.random.default_rng([SEED, who.seed]),
        )
        times.update(zip([answer.assignment.pk for answer in mine], at, strict=True))
    # Written in the order in which they were given: histories are read by number.
    answers.sort(key=lambda answer: times[answer.assignment.pk])
    _write(answers, members, times, guideline)


def _draw(project: Project, cast: list[simulating.Simulated], sentences: dict[str, list[str]]) -> list[_Answer]:
    """Who judges which pair, and what they say. The same for the same seeds."""
    latent = {row["item_id"]: row for row in _lines("pairs.jsonl")}
    pairs = list(Pair.objects.filter(project=project).select_related("first", "second").order_by("rank"))
    slots: dict[int, list[Assignment]] = {}
    for slot in Assignment.objects.open().slots().filter(project=project).order_by("pair_id", "slot"):
        slots.setdefault(slot.pair_id, []).append(slot)
    best = [max(latent[pair.external_id]["meta"][f"quality_{side}"] for side in "ab") for pair in pairs]
    rng = np.random.default_rng(SEED)
    own = [who.generator() for who in cast]
    answers = []
    for pair, badness in zip(pairs, simulating.badness_of(np.array(best)), strict=True):
        row = latent[pair.external_id]
        # The import may have put the file's second response first.
        first, second = ("a", "b") if pair.first.text == row["response_a"] else ("b", "a")
        filled = simulating.fill_slots(slots=len(slots[pair.pk]), open_share=OPEN_SHARE, rng=rng)
        chosen = rng.choice(len(cast), size=filled, replace=False)
        for assignment, number in zip(slots[pair.pk], chosen, strict=False):
            who, mine = cast[number], own[number]
            assignment.swapped = bool(mine.random() < 0.5)
            said = simulating.say(
                who=who,
                difference=row["meta"][f"quality_{first}"] - row["meta"][f"quality_{second}"],
                words=len(pair.first.text.split()) - len(pair.second.text.split()),
                first_on_left=not assignment.swapped,
                badness=float(badness),
                rng=mine,
            )
            reason = None
            if said.verdict == "prefer" and mine.random() < who.rationale_rate:
                reason = _reason(row["meta"]["reasons"][first if (said.strength or 0) > 0 else second], sentences, mine)
            answers.append(
                _Answer(
                    assignment=assignment,
                    who=int(number),
                    said=said,
                    seconds=simulating.seconds_for_pair(who=who, rng=mine),
                    skip_reason=str(mine.choice(SkipReason.values)) if said.verdict == "skip" else "",
                    reason=reason,
                )
            )
    return answers


def _simulate_judges(project: Project, guideline: Guideline) -> None:
    """Judges of known skill and bias answer every pair in both orders, in a run each."""
    told = json.loads((FOLDER / "annotators.json").read_text(encoding="utf-8"))["judges"]
    for who in told["judges"]:
        given = {key: value for key, value in who.items() if key not in ("note", "asks")}
        _let_judge(project, guideline, simulating.SimulatedJudge(**given, asks=tuple(who["asks"])))


def _simulate_reasons(project: Project) -> None:
    """What a machine might have written, and what its simulated readers made of it."""
    latent = {row["item_id"]: row for row in _lines("pairs.jsonl")}
    sentences = json.loads((FOLDER / "annotators.json").read_text(encoding="utf-8"))["rationales"]
    simulating_reasons.write(project=project, latent=latent, sentences=sentences, command=COMMAND)
    simulating_reasons.read(project=project)


def _let_judge(project: Project, guideline: Guideline, who: simulating.SimulatedJudge) -> None:
    asked: dict[str, int] = {}
    if "principles" in who.asks:
        numbers = dict(guideline.places.values_list("principle__short", "principle_id"))
        asked = {line["key"]: numbers[line["short"]] for line in _lines("principles.jsonl")}
    plan = JudgingPlan(model=who.name, asks=who.asks, principles=tuple(asked.values()))
    judge = Annotator.objects.create(
        project=project,
        kind=Annotator.Kind.JUDGE,
        name=who.name,
        model=who.name,
        prompt_version="simulation",
        external_id=f"simulated-{who.seed}",
        is_simulated=True,
    )
    run = request_run(
        project=project, kind=Run.Kind.JUDGING, parameters=plan.as_parameters(), actor=None, seed=who.seed
    )
    hold = claim(run_id=run.pk, worker=f"command {COMMAND}")
    assert hold is not None
    answers = list(_judge_answers(project, who, asked))
    with hold.fenced():
        record_answers(run=hold.run, judge=judge, answers=answers)
    hold.finish(result={"judge": judge.pk, "answers": len(answers), "simulated": True})


def _judge_answers(project: Project, who: simulating.SimulatedJudge, asked: dict[str, int]) -> Iterator[Answer]:
    latent = {row["item_id"]: row for row in _lines("pairs.jsonl")}
    rng = np.random.default_rng([SEED, who.seed])
    for pair in Pair.objects.filter(project=project).select_related("first", "second").order_by("rank"):
        row = latent[pair.external_id]
        # The import may have put the file's second response first.
        first, second = ("a", "b") if pair.first.text == row["response_a"] else ("b", "a")
        # Where neither follows a principle more, a judge is told to say NA.
        says = {first: 1.0, second: -1.0}
        votes = row["meta"]["principle_votes"]
        questions: dict[int | None, float | None] = {asked[key]: says.get(votes[key]) for key in asked}
        if "overall" in who.asks:
            questions[None] = row["meta"][f"quality_{first}"] - row["meta"][f"quality_{second}"]
        for principle, leaning in questions.items():
            both = simulating.answer_in_both_orders(
                who=who,
                leaning=leaning or 0.0,
                words=len(pair.first.text.split()) - len(pair.second.text.split()),
                applies=leaning is not None,
                rng=rng,
            )
            for swapped, (a, b, na) in zip((False, True), both.tolist(), strict=True):
                yield Answer(Question(pair.pk, principle, swapped), a, b, na)


def _reason(written: dict[str, Any], sentences: dict[str, list[str]], rng: np.random.Generator) -> dict[str, Any]:
    """The reason written for this pair, or one of its tags with a sentence that fits any pair."""
    if rng.random() < OWN_REASON_SHARE:
        return written
    tag = str(rng.choice([tag for tag in written["tags"] if tag in sentences]))
    return {"tags": [tag], "text": str(rng.choice(sentences[tag]))}


def _write(answers: list[_Answer], members: list[Annotator], times: dict[int, datetime], guideline: Guideline) -> None:
    keys = np.random.default_rng([SEED, 1])
    judgements, rationales = [], []
    for answer in answers:
        assignment, member, at = answer.assignment, members[answer.who], times[answer.assignment.pk]
        assignment.annotator, assignment.done_at = member, at
        judgement = Judgement(
            assignment=assignment,
            annotator=member,
            key=uuid.UUID(bytes=keys.bytes(16), version=4),
            verdict=answer.said.verdict,
            strength=answer.said.strength,
            skip_reason=answer.skip_reason,
            guideline=guideline,
            swapped=assignment.swapped,
            active_ms=round(answer.seconds * 1000),
            client="simulation",
            created_at=at,
        )
        judgements.append(judgement)
        if answer.reason is not None:
            rationales.append(
                Rationale(
                    pair_id=assignment.pair_id,
                    annotator=member,
                    judgement=judgement,
                    text=answer.reason["text"],
                    tags=answer.reason["tags"],
                    # Nobody wrote it for this judgement.
                    source=Rationale.Source.IMPORTED,
                    created_at=at,
                )
            )
    Assignment.objects.bulk_update([answer.assignment for answer in answers], ["annotator", "swapped", "done_at"])
    Judgement.objects.bulk_create(judgements)
    Rationale.objects.bulk_create(rationales)
