"""Turns -> rankings -> the judgements that they imply: claimed, submitted, taken back, revised; drafts in between.

The guarantees are those of pairs (assigning.py, judging.py): the overlap cannot be exceeded, nobody ranks a lineup
twice, a key stores once, whoever is late changes nothing. Here they are kept by a lock on the annotator, plain ORM and
constraints: somebody who reads eight answers does not wait for a millisecond.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Max, QuerySet
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from annotation import drafting, judging, lining_up, opening, orders, statements
from annotation.answering import LONGEST_MS, LONGEST_TEXT, Unfit, milliseconds
from annotation.errors import Refused, Stale
from annotation.models import (
    Annotator,
    Assignment,
    Flag,
    Judgement,
    Pair,
    Project,
    Ranking,
    SkipReason,
    Turn,
    Verdict,
)
from annotation.recording import record
from annotation.wording import NOTHING_TO_JUDGE

LETTERS = "abcdefgh"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """A ranking as it was given on the screen: the place of each letter, 1 the best, equal a tie, None not ranked."""

    key: uuid.UUID
    # What `claim_of` said when the page was made.
    claim: str
    places: Mapping[str, int | None]
    skip_reason: str = ""
    flags: tuple[str, ...] = ()
    note: str = ""
    # As in an answer to a pair (answering.py).
    guideline: int | None = None
    active_ms: int | None = None
    client: str = ""
    beyond: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a submit: the stored ranking and, if any, the draft that it took the place of, unseen."""

    ranking: Ranking
    unseen: dict[str, Any] | None = None


# ---- handing out ----------------------------------------------------------------------------------------------------

# The next open turn of a lineup that I have not ranked, in the drawn order; nobody waits for a colleague's claim. The
# order on the screen is drawn by the project's seed, the turn and the annotator: whoever is given a turn again finds it
# as before, and what their browser kept of it still means the same.
_CLAIM = """
UPDATE turn SET annotator_id = %(me)s, lease_until = %(until)s, done_at = NULL, draft = NULL, draft_version = 0,
  shown = (SELECT array_agg(c ORDER BY hashint8extended(c, hashint8extended(turn.id, p.seed # %(me)s::bigint)))
    FROM lineup l JOIN project p ON p.id = l.project_id, unnest(l.candidates) AS c WHERE l.id = turn.lineup_id)
WHERE id = (
  SELECT t.id FROM turn t JOIN lineup l ON l.id = t.lineup_id JOIN project p ON p.id = l.project_id
  WHERE l.project_id = %(project)s AND t.annotator_id IS NULL AND t.slot <= p.overlap
    AND NOT EXISTS (SELECT 1 FROM turn m WHERE m.lineup_id = t.lineup_id AND m.annotator_id = %(me)s)
    AND EXISTS (SELECT 1 FROM pair o WHERE o.prompt_id = l.prompt_id AND o.excluded_at IS NULL)
  ORDER BY l.rank, t.slot LIMIT 1 FOR UPDATE OF t SKIP LOCKED)
RETURNING id
"""


def hand_out(*, annotator: Annotator) -> Turn | None:
    """The turn that I hold, its lease renewed, or the next one. None: there is nothing for me now."""
    turn = _claim(annotator)
    if turn is None and is_open(annotator.project):
        # Leases may have run out, and candidates come that are not lined up yet.
        swept = sweep(project=annotator.project)
        lined_up = lining_up.open_lineups(project=annotator.project)
        if swept or lined_up:
            turn = _claim(annotator)
    return turn


def is_open(project: Project) -> bool:
    return project.state == Project.State.JUDGING and project.task == Project.Task.RANKINGS


@transaction.atomic
def _claim(annotator: Annotator) -> Turn | None:
    me = judging.lock(annotator)
    if not is_open(me.project) or not me.is_active:
        return None
    until = _until(me)
    mine = _turns().filter(annotator=me, lease_until__isnull=False, lineup__project=me.project)
    # What was taken back comes before what waited meanwhile.
    held = mine.order_by("-lease_until", "-pk").first()
    if held is not None:
        Turn.objects.filter(pk=held.pk).update(lease_until=until)
        held.lease_until = until
        return held
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, {"me": me.pk, "until": until, "project": me.project_id})
        row = cursor.fetchone()
    return _turns().get(pk=row[0]) if row else None


def claim_of(turn: Turn) -> str:
    """Names this claim of the turn, and with it the order on the screen: letters of another claim mean something else.

    It tells nothing of the candidates to whoever has not the site's key.
    """
    return salted_hmac("plumbline.turn", f"{turn.pk}:{turn.shown}").hexdigest()[:20]


def _turns() -> QuerySet[Turn]:
    return Turn.objects.select_related("lineup__prompt", "lineup__project")


def _until(me: Annotator) -> datetime:
    return timezone.now() + timedelta(minutes=me.project.lease_minutes)


def renew(*, annotator: Annotator) -> int:
    """The heartbeat: my lease starts anew. Returns how many I hold."""
    mine = Turn.objects.filter(annotator=annotator, lease_until__isnull=False)
    return mine.update(lease_until=_until(annotator))


def sweep(*, project: Project) -> int:
    """Hand back turns whose lease ran out, with their drafts: the page that wrote them has its own copy."""
    due = Turn.objects.filter(lineup__project=project, lease_until__lt=timezone.now())
    locked = due.select_for_update(skip_locked=True, of=("self",)).values_list("pk", flat=True)
    with transaction.atomic():
        return Turn.objects.filter(pk__in=list(locked)).update(
            annotator=None, lease_until=None, draft=None, draft_version=0, shown=[]
        )


# ---- submitting -----------------------------------------------------------------------------------------------------


@transaction.atomic
def submit(*, annotator: Annotator, turn_id: int, ranked: Ranked) -> Outcome:
    """Store a ranking of a leased turn, and what it implies of pairs. Sending the same key again stores nothing twice.

    The turn's draft goes. One whose version is not among `ranked.beyond` was written on another device and not seen by
    whoever ranked: it is read under the lock that stores the ranking, and handed back.

    Raises:
        Unfit: the ranking cannot be stored as it is.
        LeaseLost: the turn is not mine to answer, or answered otherwise already.
        Refused: the project takes no rankings now.
    """
    me = judging.lock(annotator)
    if (stored := _repeated(me, turn_id, ranked)) is not None:
        return Outcome(stored)
    if not is_open(me.project):
        raise Refused(_("This project takes no rankings now. Yours was not stored; it is kept on this page."))
    turn = _turns().select_for_update(of=("self",)).filter(pk=turn_id, annotator=me, lease_until__isnull=False).first()
    if turn is None:
        raise _lost()
    made = _append(me, turn, ranked)
    unseen = turn.draft if ranked.beyond is not None and turn.draft_version not in ranked.beyond else None
    turn.done_at, turn.lease_until, turn.draft = made.created_at, None, None
    turn.save(update_fields=["done_at", "lease_until", "draft"])
    return Outcome(made, unseen)


@transaction.atomic
def revise(*, annotator: Annotator, turn_id: int, ranked: Ranked, expected_revision: int) -> Ranking:
    """Change a ranking of mine: a new revision becomes the current one, the old one stays.

    Raises:
        Unfit: the ranking cannot be stored as it is.
        Stale: it has been changed since the page was opened.
        Refused: the project is closed, or the ranking was taken back.
    """
    me = judging.lock(annotator)
    if me.project.state == Project.State.CLOSED:
        raise Refused(_("This project is closed. Answers can no longer be changed."))
    if (stored := _repeated(me, turn_id, ranked)) is not None:
        return stored
    turn = _turns().filter(pk=turn_id, annotator=me, done_at__isnull=False).first()
    current = Ranking.objects.select_for_update().filter(turn=turn, is_current=True, annotator=me).first()
    if turn is None or current is None:
        raise Refused(_("This ranking was taken back. Rank again on the ranking page."))
    if current.revision != expected_revision:
        raise Stale(_("You have changed this ranking in another window since. That version is stored."))
    made = _append(me, turn, ranked, before=current)
    _record("ranking.revise", me, turn, before=current, after=made)
    return made


@transaction.atomic
def undo(*, annotator: Annotator) -> Turn:
    """Take back my latest ranking and what it implies; the turn is leased to me again, with it as a draft.

    Raises:
        Refused: the project takes no rankings now, or there is nothing to take back.
    """
    me = judging.lock(annotator)
    if not is_open(me.project):
        raise Refused(_("This project takes no rankings now. They cannot be taken back."))
    latest = (
        Ranking.objects.filter(annotator=me, is_current=True, turn__annotator=me, turn__done_at__isnull=False)
        .select_related("turn__lineup")
        .order_by("-pk")
        .first()
    )
    if latest is None:
        raise Refused(_("There is no ranking to take back."))
    turn = latest.turn
    Ranking.objects.filter(pk=latest.pk).update(is_current=False)
    _withdraw(me, turn)
    turn.done_at, turn.lease_until, turn.draft, turn.draft_version = None, _until(me), fields_of(latest), 0
    turn.save(update_fields=["done_at", "lease_until", "draft", "draft_version"])
    _record("ranking.undo", me, turn, before=latest, after=None)
    return turn


def _lost() -> judging.LeaseLost:
    return judging.LeaseLost(_("This lineup is not open with you any more. What you wrote is kept on this page."))


def _repeated(me: Annotator, turn_id: int, ranked: Ranked) -> Ranking | None:
    stored = Ranking.objects.filter(key=ranked.key).first()
    if stored is None:
        return None
    if (stored.turn_id, stored.annotator_id, stored.is_current) != (turn_id, me.pk, True):
        raise Stale(_("This page is out of date. Open it again; what you wrote is kept here."))
    return stored


def _append(me: Annotator, turn: Turn, ranked: Ranked, *, before: Ranking | None = None) -> Ranking:
    if ranked.claim != claim_of(turn):
        raise judging.LeaseLost(
            _("This lineup came to you again, in another order. What you wrote is kept on this page.")
        )
    ranks = _fitting(ranked, size=len(turn.shown))
    if before is not None:
        Ranking.objects.filter(pk=before.pk).update(is_current=False)
    _withdraw(me, turn)
    made = Ranking.objects.create(
        turn=turn,
        annotator=me,
        revision=1 + (turn.rankings.aggregate(last=Max("revision"))["last"] or 0),
        key=ranked.key,
        shown=turn.shown,
        ranks=ranks,
        skip_reason=ranked.skip_reason,
        flags=list(dict.fromkeys(ranked.flags)),
        note=ranked.note,
        guideline_id=_stamp(me, ranked),
        active_ms=_in_all(turn.rankings.filter(annotator=me).order_by("-revision").first(), ranked.active_ms),
        client=ranked.client.replace("\0", "")[:60],
    )
    _imply(me, turn, made)
    return made


def _in_all(before: Ranking | None, stretch: int | None) -> int | None:
    """All the time up to a ranking: what is taken back or changed was read before. Unknown stays unknown."""
    if before is None:
        return milliseconds(stretch)
    return None if before.active_ms is None else min(before.active_ms + (milliseconds(stretch) or 0), LONGEST_MS)


def _stamp(me: Annotator, ranked: Ranked) -> int | None:
    """The version (id) of the guideline that the ranking was given under; raises Unfit."""
    said = ranked.guideline
    if said is None or said == me.project.guideline_id:
        return me.project.guideline_id
    if said and not me.project.guidelines.filter(pk=said).exists():
        raise Unfit(_("This project has no such version of its guideline. Load the page again."), field="guideline")
    return said or None


def _fitting(ranked: Ranked, *, size: int) -> list[int | None]:
    """The ranks in the order of the screen; raises Unfit."""
    letters = LETTERS[:size]
    if set(ranked.places) - set(letters):
        raise Unfit(_("The page does not show what it sent a place for. Reload it and rank again."), field="place")
    if any(place is not None and not 1 <= place <= 999 for place in ranked.places.values()):
        raise Unfit(_("A place is a whole number from 1 on; 1 is the best."), field="place")
    for flag in ranked.flags:
        if flag not in Flag.values:
            raise Unfit(
                _("There is no flag “%(flag)s”. Choose one of those on the page.") % {"flag": flag[:60]}, field="flag"
            )
    if "\0" in ranked.note:
        raise Unfit(
            _("Your text contains a NUL character, which cannot be stored. Remove it and send again."), field="note"
        )
    if len(ranked.note) > LONGEST_TEXT:
        raise Unfit(
            _("Your text is longer than %(most)s characters. Shorten it and send again.")
            % {"most": f"{LONGEST_TEXT:,}"},
            field="note",
        )
    if ranked.skip_reason:
        if ranked.skip_reason not in SkipReason.values:
            raise Unfit(_("Say why you skip: choose one of the reasons."), field="skip_reason")
        return [None] * size
    ranks = orders.dense({letter: ranked.places.get(letter) for letter in letters})
    if sum(rank is not None for rank in ranks.values()) < 2:
        raise Unfit(_("Rank at least two of them, or skip with a reason."), field="place")
    return list(ranks.values())


# ---- what it implies of pairs ---------------------------------------------------------------------------------------


def _imply(me: Annotator, turn: Turn, made: Ranking) -> None:
    """The judgements that follow from a ranking, each with its origin. A verdict on the pair itself stands."""
    says = orders.implied(made.placed)
    pairs = lining_up.candidates_in_pairs(turn.lineup)
    mine = {one.pair_id: one for one in Assignment.objects.filter(annotator=me, pair__in=pairs.values())}
    direct = set(
        Judgement.objects.filter(assignment__in=mine.values(), ranking=None).values_list("assignment__pair", flat=True)
    )
    direct |= {one.pair_id for one in mine.values() if one.slot is not None}
    place = {candidate: at for at, candidate in enumerate(made.shown)}
    wanted = [
        (pairs[two], sign, place[two[1]] < place[two[0]])
        for two, sign in says.items()
        if two in pairs and pairs[two].pk not in direct
    ]
    new = Assignment.objects.bulk_create(
        _assignment(me, pair, swapped=swapped, at=made.created_at) for pair, _, swapped in wanted if pair.pk not in mine
    )
    mine |= {one.pair_id: one for one in new}
    last = dict(
        Judgement.objects.filter(assignment__in=mine.values())
        .values_list("assignment")
        .annotate(last=Max("revision"))
        .values_list("assignment", "last")
    )
    Judgement.objects.bulk_create(
        Judgement(
            assignment=mine[pair.pk],
            annotator=me,
            revision=1 + last.get(mine[pair.pk].pk, 0),
            key=uuid.uuid5(made.key, str(pair.pk)),
            verdict=Verdict.PREFER if sign else Verdict.TIE,
            strength=sign,
            strength_known=False,
            flags=made.flags,
            guideline_id=made.guideline_id,
            swapped=swapped,
            client=made.client,
            ranking=made,
            created_at=made.created_at,
        )
        for pair, sign, swapped in wanted
    )


def _assignment(me: Annotator, pair: Pair, *, swapped: bool, at: datetime) -> Assignment:
    """Without a slot: the pair was not handed out by itself."""
    return Assignment(
        project_id=pair.project_id,
        pair=pair,
        priority=pair.rank * opening.RANK_STEP,
        annotator=me,
        swapped=swapped,
        done_at=at,
    )


def _withdraw(me: Annotator, turn: Turn) -> None:
    """What earlier revisions implied is not current any more; it stays stored."""
    earlier = Ranking.objects.filter(turn=turn, annotator=me).values("pk")
    Judgement.objects.filter(ranking__in=earlier, is_current=True).update(is_current=False)


def _record(act: str, me: Annotator, turn: Turn, *, before: Ranking, after: Ranking | None) -> None:
    def facts(one: Ranking) -> dict[str, Any]:
        return {"ranking": one.pk, "revision": one.revision, "ranks": one.ranks}

    record(
        act=act,
        subject=f"turn {turn.pk}",
        actor=me.user,
        project=me.project,
        before=facts(before),
        after=facts(after) if after else None,
    )


# ---- read again -----------------------------------------------------------------------------------------------------


def fields_of(ranking: Ranking) -> dict[str, Any]:
    """A stored ranking as the form's fields: the shape of a draft."""
    return {
        "place": {letter: rank or "" for letter, rank in zip(LETTERS, ranking.ranks, strict=False)},
        "skip_reason": ranking.skip_reason,
        "flag": ranking.flags,
        "note": ranking.note,
    }


def echo(ranking: Ranking) -> str:
    """The stored row in words, by the letters on which the annotator saw the candidates."""
    if ranking.skip_reason:
        return _("Skipped: %(reason)s") % {"reason": ranking.get_skip_reason_display()}
    return orders.in_words(dict(zip(LETTERS, ranking.ranks, strict=False)))


def why_nothing(*, annotator: Annotator) -> dict[str, Any]:
    """Why there is nothing for me to rank: the state, a title, a sentence, and where I stand."""
    project = annotator.project
    done = Ranking.objects.filter(annotator=annotator, is_current=True).count()
    if project.task != Project.Task.RANKINGS:
        title, text = _("Nothing is ranked here."), _("This project asks for judgements of pairs.")
    elif project.state != Project.State.JUDGING:
        title, text = (str(words) for words in NOTHING_TO_JUDGE[project.state])
    elif not project.lineups.exists():
        title, text = _("Nothing to rank yet."), _("No prompt of this project has three candidates or more.")
    else:
        title = _("That was the last lineup for you.")
        text = _("Every other one has all the rankings that it needs, or is open with somebody else.")
    facts = [(done, ngettext("ranking is yours, and saved.", "rankings are yours, and saved.", done))]
    return {"reason": project.state, "title": title, "text": text, "facts": facts}


# ---- drafts ---------------------------------------------------------------------------------------------------------


def save_draft(
    *,
    annotator: Annotator,
    turn_id: int,
    claim: str,
    body: str,
    version: int,
    beyond: Sequence[int] | None = None,
) -> drafting.Stands:
    """Keep what was entered so far, as `drafting.save_draft` does for a pair.

    Raises:
        Unfit: the body is not a JSON object, is too large, or holds what cannot be stored.
        LeaseLost: the turn is not mine any more.
    """
    text = drafting.readable_draft(body)
    turn = Turn.objects.filter(pk=turn_id, annotator=annotator, lease_until__isnull=False).first()
    if turn is None or claim_of(turn) != claim:
        raise _lost()
    array = statements.in_array(beyond)
    with connection.cursor() as cursor:
        cursor.execute(
            """UPDATE turn SET draft = %s::jsonb, draft_version = %s
               WHERE id = %s AND annotator_id = %s AND lease_until IS NOT NULL
               AND CASE WHEN %s::bigint[] IS NULL THEN draft_version < %s
                 ELSE draft_version = ANY(%s::bigint[]) OR draft IS NULL END""",
            [text, version, turn_id, annotator.pk, array, version, array],
        )
        if cursor.rowcount:
            return drafting.Stands(version)
    still = Turn.objects.filter(pk=turn_id, annotator=annotator, lease_until__isnull=False)
    found = still.values_list("draft_version", "draft").first()
    if found is None:
        raise _lost()
    return drafting.what_stands(version=version, text=text, found=found)
