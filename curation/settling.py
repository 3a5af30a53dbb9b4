"""Adjudications -> rulings: what an adjudicator says of a pair, and takes back again. Judgements stay as they are."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from django.db import transaction
from django.db.models import Max

from annotation.errors import Refused, Stale
from annotation.models import Annotator, Cause, Guideline, Project, Role, User
from annotation.recording import record
from annotation.recusing import recuse
from curation.adjudicating import MOST_AT_ONCE, take
from curation.models import Adjudication, PairFact, Ruling

OUTCOMES = tuple(value for value in Adjudication.Outcome.values if value)
LONGEST_REASON = 20_000


@transaction.atomic
def settle(
    *,
    adjudication: Adjudication,
    adjudicator: Annotator,
    key: uuid.UUID,
    outcome: str,
    reason: str = "",
    note: str = "",
    cause: str = "",
) -> Ruling:
    """Say what becomes of a pair. Sending the same `key` again stores nothing and returns what is stored.

    Args:
        outcome: one of `OUTCOMES`.
        reason: why; may be empty.
        note: what the guideline leaves unclear; with the outcome "unclear", and with no other.
        cause: why the judgements differ, one of `Cause`; may be empty.

    Raises:
        Refused: they judged the pair or have begun to, are no adjudicator, or the outcome is not known or lacks its
            note.
        Stale: somebody has settled it meanwhile.
    """
    held: Adjudication = Adjudication.objects.select_for_update().get(pk=adjudication.pk)
    stored = Ruling.objects.filter(key=key).first()
    if stored is not None:
        if (stored.adjudication_id, stored.adjudicator_id) != (held.pk, adjudicator.pk):
            raise Refused("This key was used for another decision. Make a new one for each.")
        return stored
    reason, note = _checked(outcome, reason, note)
    if cause and cause not in Cause.values:
        raise Refused("Choose one of the causes, or none.")
    if held.outcome:
        raise Stale("This pair has been settled meanwhile. Nothing was changed.")
    held = take(adjudication=held, adjudicator=adjudicator)
    # They have read what others said: they are not handed the pair any more.
    recuse(annotator=adjudicator, pair_id=held.pair_id)
    return _append(held, adjudicator=adjudicator, key=key, outcome=outcome, reason=reason, note=note, cause=cause)


@transaction.atomic
def take_back(*, adjudication: Adjudication, adjudicator: Annotator) -> Ruling:
    """Take one's own decision back: the pair waits again, for anybody who may settle it. Twice is as good as once.

    Raises:
        Refused: the decision is somebody else's, there is none, or the pair waits already because it was sent again.
    """
    held: Adjudication = Adjudication.objects.select_for_update().get(pk=adjudication.pk)
    last = held.rulings.order_by("-revision").first()
    if last is None or last.adjudicator_id != adjudicator.pk:
        raise Refused("You can take back only what you decided yourself.")
    if not adjudicator.may(Role.ADJUDICATOR):
        raise Refused("Only adjudicators and leads of this project settle pairs.")
    if not last.outcome:
        return last
    if Adjudication.objects.filter(pair=held.pair_id, outcome="").exists():
        raise Refused("This pair was sent to adjudication again and waits already. Settle it there.")
    return _append(held, adjudicator=adjudicator, key=uuid.uuid4(), outcome="")


def _checked(outcome: str, reason: str, note: str) -> tuple[str, str]:
    if outcome not in OUTCOMES:
        raise Refused("Choose one of the outcomes.")
    reason, note = reason.strip(), note.strip()
    for text in (reason, note):
        if len(text) > LONGEST_REASON or "\0" in text:
            raise Refused(f"A text holds at most {LONGEST_REASON:,} characters, and no NUL character.")
    if outcome == Adjudication.Outcome.UNCLEAR and not note:
        raise Refused("Say what the guideline leaves unclear: the lead reads it.")
    # A note that was begun before another outcome was chosen is no note.
    return reason, note if outcome == Adjudication.Outcome.UNCLEAR else ""


def _append(
    held: Adjudication,
    *,
    adjudicator: Annotator,
    key: uuid.UUID,
    outcome: str,
    reason: str = "",
    note: str = "",
    cause: str = "",
) -> Ruling:
    before = held.outcome
    guideline: Guideline | None = adjudicator.project.guideline
    ruling = Ruling.objects.create(
        adjudication=held,
        adjudicator=adjudicator,
        revision=(held.rulings.aggregate(last=Max("revision"))["last"] or 0) + 1,
        key=key,
        outcome=outcome,
        reason=reason,
        note=note,
        cause=cause,
        guideline=guideline,
    )
    held.outcome = outcome
    held.settled_at = ruling.created_at if outcome else None
    held.adjudicator = adjudicator if outcome else None
    held.save(update_fields=["outcome", "settled_at", "adjudicator"])
    record(
        act="adjudication.settle" if outcome else "adjudication.take_back",
        subject=f"pair {held.pair_id}",
        actor=adjudicator.user,
        project=adjudicator.project,
        before={"outcome": before},
        after={"outcome": outcome, "revision": ruling.revision},
    )
    return ruling


# ---- what a lead sends from here -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Divided:
    """The pairs on which judgements disagree most and that nobody has sent yet, most first; entropies in nats."""

    pairs: list[int]
    highest: float | None
    lowest: float | None


def most_divided(*, project: Project, n: int) -> Divided:
    """The first `n` by the entropy of their verdicts, as the facts were last gathered; pairs that agree are none."""
    found = (
        PairFact.objects.filter(project=project, is_excluded=False, entropy__gt=0, pair__adjudications=None)
        .order_by("-entropy", "-judgements", "pair_id")
        .values_list("pair_id", "entropy")[:n]
    )
    rows = list(found)
    return Divided([pair for pair, _ in rows], rows[0][1] if rows else None, rows[-1][1] if rows else None)


@transaction.atomic
def send_most_divided(*, project: Project, n: int, expected: int, actor: User) -> int:
    """Let the `n` pairs with the most disagreement wait for an adjudicator. Returns how many.

    Raises:
        Refused: there are not `expected` of them any more, none at all, or too many.
    """
    if not 1 <= n <= MOST_AT_ONCE:
        raise Refused(f"Send 1 to {MOST_AT_ONCE:,} pairs at once.")
    found = most_divided(project=project, n=n)
    if len(found.pairs) != expected:
        raise Refused(
            f"There are now {len(found.pairs):,} such pairs, not the {expected:,} that you confirmed. "
            "Look again, then confirm."
        )
    if not found.pairs:
        raise Refused("No pair that was not sent yet has judgements that disagree.")
    asks = [Adjudication(project=project, pair_id=pair, because="entropy", asked_by=actor) for pair in found.pairs]
    Adjudication.objects.bulk_create(asks, ignore_conflicts=True)
    record(
        act="adjudication.send",
        subject=f"{len(asks)} pairs",
        actor=actor,
        project=project,
        after={"asked": n, "sent": len(asks), "lowest_entropy": found.lowest},
    )
    return len(asks)
