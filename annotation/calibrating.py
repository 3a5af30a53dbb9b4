"""Gold: pairs whose answer is known. Explained examples, a round before judging begins, and checks in between.

An annotator of a project with a gold round judges `gold_round` checks first; `gold_pass` of them must be right. Who
does not pass is told why and judges as many others once more. After that a share `gold_rate` of what is handed out are
checks. On the screen a check is a pair like any other: it is leased, shown, answered and stored by the same code.

How a round went is nowhere stored: it follows from the first answers to the checks, in the order in which they were
given. The first, because what is explained after a round must not be made right by a change.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.db.models import QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from annotation import assigning, ordering, statements, typesetting
from annotation.answering import sides, verdict_in_words
from annotation.models import Annotator, Judgement, Pair, Project, Verdict

# The first round and one more, with other pairs.
ROUNDS = 2
# Checks in between are told of when there are as many: later, and never of a single pair that it was one.
TOLD_AT_ONCE = 10

# ---- how it went: pure ----------------------------------------------------------------------------------------------


def is_right(*, verdict: str, strength: int | None, gold: str) -> bool:
    """Whether a judgement prefers what the gold answer prefers, however strongly. Skipping is not right."""
    if gold == Pair.Label.TIE:
        return verdict == Verdict.TIE
    if verdict != Verdict.PREFER or not strength:
        return False
    return (strength > 0) == (gold == Pair.Label.FIRST)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an annotator stands: in round number `round` of ROUNDS, with `done` answers of it and `right` among them.

    `state` is "none" (no round is asked for), "open", "passed" or "failed". Passed and failed tell of the last round.
    """

    state: str
    round: int = 1
    done: int = 0
    right: int = 0


def standing(results: Sequence[bool], *, size: int, needed: int) -> Standing:
    """From the first answers to checks, oldest first; `size` checks make a round, `needed` of them must be right."""
    if not size:
        return Standing("none")
    for number in range(1, ROUNDS + 1):
        mine = results[(number - 1) * size : number * size]
        if len(mine) < size:
            return Standing("open", number, len(mine), sum(mine))
        if sum(mine) >= needed:
            return Standing("passed", number, size, sum(mine))
    return Standing("failed", ROUNDS, size, sum(mine))


def is_drawn(*, seed: int, annotator_id: int, last_judgement: int, held: int, rate: float) -> bool:
    """Whether the next pair is a check: a fixed draw with probability `rate`.

    It hangs on what no annotator knows (the seed) and on what changes with every pair that is handed out.
    """
    drawn = hashlib.blake2b(f"{seed}:gold:{annotator_id}:{last_judgement}:{held}".encode(), digest_size=4).digest()
    return int.from_bytes(drawn, "big") < rate * 2**32


# ---- where an annotator stands --------------------------------------------------------------------------------------


def _firsts() -> QuerySet[Judgement]:
    """First answers to checks, oldest first."""
    checks = Judgement.objects.filter(
        revision=1, assignment__pair__gold_use=Pair.GoldUse.CHECK, assignment__slot__isnull=False
    )
    return checks.order_by("pk")


# What says whether an answer is right: not the texts, for this is read before every pair that is handed out.
_RESULT = ("verdict", "strength", "assignment__pair__gold_verdict")


def _went(verdict: str, strength: int | None, gold: str) -> bool:
    """Of a row of _RESULT."""
    return is_right(verdict=verdict, strength=strength, gold=gold)


def standing_of(annotator: Annotator) -> Standing:
    """`annotator.project` is read as well."""
    project = annotator.project
    if not project.gold_round:
        return Standing("none")
    # What comes after the last round decides nothing, and would grow with every sitting.
    firsts = _firsts().filter(annotator=annotator)[: ROUNDS * project.gold_round]
    results = [_went(*one) for one in firsts.values_list(*_RESULT)]
    return standing(results, size=project.gold_round, needed=project.gold_pass)


def standings_in(project: Project) -> dict[int, Standing]:
    """Where everybody stands who has answered a check of the project, by the annotator's number; empty: no rounds."""
    if not project.gold_round:
        return {}
    results: dict[int, list[bool]] = {}
    firsts = _firsts().filter(assignment__project=project)
    for annotator_id, *one in firsts.values_list("annotator", *_RESULT):
        results.setdefault(annotator_id, []).append(_went(*one))
    size, needed = project.gold_round, project.gold_pass
    return {annotator: standing(went, size=size, needed=needed) for annotator, went in results.items()}


def failed_in(project: Project) -> list[Annotator]:
    """Who judges here and has not passed any round: they are handed nothing until a lead decides. By name."""
    failed = [annotator for annotator, now in standings_in(project).items() if now.state == "failed"]
    return list(Annotator.objects.people().active().filter(pk__in=failed, user__is_active=True).order_by("name"))


def checks_missing(project: Project) -> int:
    """How many checks more it takes for the first round, or the second where somebody is in it. Without them people
    come to the end of their round before it is over, and are handed nothing.
    """
    is_second = any(now.state == "open" and now.round > 1 for now in standings_in(project).values())
    checks = Pair.objects.in_play().filter(project=project, gold_use=Pair.GoldUse.CHECK)
    there = checks.exclude(marks__contains=["toy"]).count()
    return max(0, project.gold_round * (ROUNDS if is_second else 1) - there)


@dataclass(frozen=True, slots=True)
class Told:
    """What an annotator may be told of their first answers to checks.

    Of checks in between that are told of already: how many there were (`since`), and how many of them were right. Of
    these, the latest TOLD_AT_ONCE, and of the last round that is over: which answers (their numbers) were not.
    """

    since: int
    right: int
    missed: tuple[int, ...]


def told(annotator: Annotator) -> Told:
    """`annotator.project` is read as well."""
    project, now = annotator.project, standing_of(annotator)
    firsts = list(_firsts().filter(annotator=annotator).values_list("pk", *_RESULT))
    went = [(number, _went(*one)) for number, *one in firsts]
    over = {"open": now.round - 1, "none": 0}.get(now.state, now.round)
    last_round = went[max(0, over - 1) * project.gold_round : over * project.gold_round]
    since = went[over * project.gold_round :] if now.state in ("none", "passed") else []
    if project.state != Project.State.CLOSED:
        since = since[: len(since) // TOLD_AT_ONCE * TOLD_AT_ONCE]
    wrong = [number for number, right in last_round + since[-TOLD_AT_ONCE:] if not right]
    return Told(since=len(since), right=sum(right for _, right in since), missed=tuple(wrong))


def missed(annotator: Annotator) -> list[Judgement]:
    """What was not right, as far as it is told: the first answers, with their pairs."""
    pair = "assignment__pair"
    shown = ("assignment__project", f"{pair}__prompt", f"{pair}__first", f"{pair}__second")
    wrong = _firsts().filter(pk__in=told(annotator).missed)
    typesetting.typeset_pairs(pairs=wrong.values_list("assignment__pair", flat=True))
    return list(wrong.select_related(*shown))


# ---- what is explained ----------------------------------------------------------------------------------------------

MOST_EXAMPLES = 20
RIGHT = {
    "first": gettext_lazy("A is better"),
    "second": gettext_lazy("B is better"),
    "tie": gettext_lazy("About the same"),
}


def examples(*, project: Project) -> list[dict[str, Any]]:
    """The explained examples of a project, in its order, the first candidate as A."""
    found = Pair.objects.in_play().filter(project=project, gold_use=Pair.GoldUse.EXAMPLE).order_by("rank")
    # Of a big import a worker sets most texts later, along the queue.
    typesetting.typeset_pairs(pairs=found.values_list("pk", flat=True)[:MOST_EXAMPLES])
    shown = found.select_related("prompt", "first", "second")[:MOST_EXAMPLES]
    return [_explained(pair, swapped=False) for pair in shown]


def has_begun(annotator: Annotator) -> bool:
    return Judgement.objects.filter(annotator=annotator).exists()


def begins_with_examples(annotator: Annotator) -> bool:
    """Whether there are examples to read before this annotator's first answer."""
    return annotator.project.has_examples and not has_begun(annotator)


def explained(judgements: Iterable[Judgement]) -> list[dict[str, Any]]:
    """Checks that were answered, as their annotator saw them, with what was expected and why."""
    return [
        {**_explained(one.assignment.pair, swapped=one.swapped), "judgement": one.pk, "mine": _said(one)}
        for one in judgements
    ]


def _said(one: Judgement) -> str:
    return verdict_in_words(
        verdict=one.verdict,
        strength=one.strength,
        swapped=one.swapped,
        skip_reason=one.skip_reason,
        scale=one.assignment.project.scale,
    )


def _explained(pair: Pair, *, swapped: bool) -> dict[str, Any]:
    a, b = sides(pair.first, pair.second, swapped=swapped)
    expected = ordering.turned(pair.gold_verdict, swapped=swapped) if pair.gold_verdict != "tie" else "tie"
    says = {"right": expected, "expected": RIGHT[expected], "why": pair.gold_why}
    return {"prompt": pair.prompt, "a": a, "b": b, **says}


# ---- handing out ----------------------------------------------------------------------------------------------------

# A slot of this annotator's own, behind those that the pair has. Which pair: drawn by the project's seed and the
# annotator, so that two of them do not meet the checks in one order. Which candidate stands as A is a fixed draw too,
# as for every pair (assigning.NEXT): one that came back the other way round would be known for a check. So would one
# that came back under another number, without the draft that the browser keeps of it. The guards are those of every
# claim.
CLAIM = f"""
WITH {assigning.ME},
next AS (
  INSERT INTO assignment (id, project_id, pair_id, slot, priority, annotator_id, swapped, lease_until, is_extra)
  SELECT coalesce((SELECT c.assignment_number FROM check_seat c WHERE c.pair_id = p.id AND c.annotator_id = me.id),
      nextval(pg_get_serial_sequence('assignment', 'id'))),
    me.project_id, p.id, 1 + coalesce((SELECT max(a.slot) FROM assignment a WHERE a.pair_id = p.id), 0),
    me.cursor, me.id, hashint8extended(-p.id, project.seed # me.id) & 1 = 1, now() + me.lease, true
  FROM me JOIN pair p ON p.project_id = me.project_id JOIN project ON project.id = me.project_id
  WHERE p.gold_use = 'check' AND p.excluded_at IS NULL AND NOT 'toy' = ANY(p.marks) AND me.state = 'judging'
    AND {assigning.LEASES} < {assigning.HELD}
    AND NOT EXISTS (SELECT 1 FROM assignment m WHERE m.pair_id = p.id AND m.annotator_id = me.id)
  ORDER BY hashint8extended(p.id, project.seed + me.id) LIMIT 1
  RETURNING id, pair_id, priority, swapped)
SELECT {assigning.ITEM} FROM (SELECT 1) AS one LEFT JOIN next n ON true {assigning.TEXTS}
"""

WHERE_I_STAND = f"""
WITH {assigning.ME}
SELECT me.id, coalesce((SELECT max(id) FROM judgement WHERE annotator_id = me.id AND is_current), 0), {assigning.LEASES}
FROM me
"""


def next_for(*, user_id: int, slug: str) -> assigning.Handed | None:
    """Lease the next pair in a project with gold: a check where one is due, a pair of the queue otherwise.

    None: there is nothing now. Between the last check of a round and its answer nothing else is handed out, because
    the answer decides what comes.
    """
    me = (
        Annotator.objects.active()
        .people()
        .select_related("project")
        .filter(user_id=user_id, project__slug=slug)
        .first()
    )
    if me is None:
        return None
    where = {"user": str(user_id), "slug": slug, "version": None}
    with connection.cursor() as cursor:
        cursor.execute(WHERE_I_STAND, where)
        _, last, held = cursor.fetchone()
    now = standing_of(me)
    if now.state == "failed":
        return None
    if now.state == "open":
        return _check(where) if now.done + held < me.project.gold_round else None
    drawn = is_drawn(
        seed=me.project.seed, annotator_id=me.pk, last_judgement=last, held=held, rate=me.project.gold_rate
    )
    return (drawn and _check(where)) or assigning.claim(user_id=user_id, slug=slug)


def hand_out(*, user_id: int, slug: str) -> list[assigning.Handed]:
    """What I hold, topped up to HELD, in a project with gold."""
    handed = assigning.held_by(user_id=user_id, slug=slug)
    while len(handed) < assigning.HELD and (one := next_for(user_id=user_id, slug=slug)) is not None:
        handed.append(one)
    return handed


def is_something_due(annotator: Annotator, *, open_pairs: int) -> bool:
    """Whether there is something to lease: in a round a check that was not given before, else a pair of the queue,
    which has `open_pairs` for this annotator.
    """
    state = standing_of(annotator).state
    if state != "open":
        return state != "failed" and open_pairs > 0
    checks = Pair.objects.in_play().filter(project=annotator.project, gold_use=Pair.GoldUse.CHECK)
    return checks.exclude(marks__contains=["toy"]).exclude(assignments__annotator=annotator).exists()


def why_nothing(annotator: Annotator) -> dict[str, Any] | None:
    """Why a round of checks leaves nothing to judge, in the shape of `assigning.why_empty`; None: it is not that."""
    project = annotator.project
    if project.state != Project.State.JUDGING:
        return None
    now = standing_of(annotator)
    if now.state == "failed":
        title, text = (
            _("Your rounds are over."),
            _("You have judged two rounds of pairs. The project's lead goes on from here."),
        )
    elif now.state == "open":
        title, text = (
            _("There are no more pairs for your round."),
            _("The project's lead has to add some before you can go on."),
        )
    else:
        return None
    return {"reason": f"round_{now.state}", "title": title, "text": text, "counts": {}, "facts": []}


def _check(where: dict[str, Any]) -> assigning.Handed | None:
    def claim() -> tuple[Any, ...]:
        with connection.cursor() as cursor:
            cursor.execute(CLAIM, where)
            return cursor.fetchone()  # type: ignore[no-any-return]

    return assigning.Handed.of(statements.without_races(claim))
