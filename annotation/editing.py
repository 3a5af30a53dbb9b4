"""Better candidates -> edits: what an annotator made of the answer that they found better.

An edit is of the candidate's last message, told in its raw text. It is stored with the revision of the judgement that
names the better candidate, and read back by `edits_of`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import F, Q, QuerySet
from django.utils.translation import gettext as _

from annotation.answering import Answer, Unfit
from annotation.distance import levenshtein
from annotation.models import Candidate, Edit, Judgement, Pair, Project, Verdict

# In code points. Drafts hold it, so that it is less than they do.
LONGEST_EDIT = 100_000


@dataclass(frozen=True, slots=True)
class Edited:
    """An edit that may be stored: the better candidate, its new text, and how far it is from the old one as it is."""

    candidate_id: int
    text: str
    edit_distance: int


def edit_meant(*, pair: Pair, answer: Answer, allowed: bool) -> Edited | None:
    """The edit that comes with an answer; None where the text that was sent is the candidate's own.

    Args:
        pair: with its two candidates.
        answer: as it is stored, with what was sent as the candidates' texts.
        allowed: whether the project takes edits.

    Raises:
        Unfit: an edit of something else than the better candidate, an empty one, one that is too long, or none is
            asked for here.
    """
    first = _changed(pair.first, answer.edit_first)
    second = _changed(pair.second, answer.edit_second)
    if first is None and second is None:
        return None
    if not allowed:
        raise Unfit(_("This project takes no edits of answers. Take yours back and send again."), field="edit")
    if answer.verdict != Verdict.PREFER or answer.strength is None:
        raise Unfit(
            _("Only the better answer can be edited. Choose which is better, or take your edit back."), field="edit"
        )
    is_first = answer.strength > 0
    better, text, other = (pair.first, first, second) if is_first else (pair.second, second, first)
    if text is None or other is not None:
        raise Unfit(_("You edited the answer that is not the better one. Take that edit back."), field="edit")
    if not text.strip():
        raise Unfit(_("The edited answer is empty. Write it, or take your edit back."), field="edit")
    if "\0" in text:
        raise Unfit(_("Your edit contains a NUL character, which cannot be stored. Remove it."), field="edit")
    if len(text) > LONGEST_EDIT:
        raise Unfit(
            _("The edited answer has more than %(most)s characters. Shorten it.") % {"most": f"{LONGEST_EDIT:,}"},
            field="edit",
        )
    return Edited(better.pk, text, levenshtein(better.text, text))


def _changed(candidate: Candidate, sent: str | None) -> str | None:
    """What was sent as a candidate's text, if it says something else, with the line ends that the candidate has."""
    if sent is None or _unix(sent) == _unix(candidate.text):
        return None
    plain = _unix(sent)
    has_only_windows = "\r\n" in candidate.text and "\n" not in candidate.text.replace("\r\n", "")
    return plain.replace("\n", "\r\n") if has_only_windows else plain


def _unix(text: str) -> str:
    """Line ends as a text field of a browser has them: it cannot tell others apart."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def store_edit(*, judgement_id: int, edited: Edited) -> Edit:
    """Store an edit with its judgement, in the transaction that stores the judgement."""
    return Edit.objects.create(
        judgement_id=judgement_id,
        candidate_id=edited.candidate_id,
        text=edited.text,
        edit_distance=edited.edit_distance,
    )


# ---- reading them back ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class EditedAnswer:
    """An edit with what it is about. `original` and `text` are the raw last message, before and after."""

    judgement: int
    pair: int
    annotator: int
    candidate: int
    # Whether the edited candidate is the pair's first.
    is_first: bool
    original: str
    text: str
    edit_distance: int


def edits_of(project: Project, *, pairs: list[int] | None = None, using: str | None = None) -> Iterator[EditedAnswer]:
    """The edits of a project that are in force: of people's current judgements, in the order in which they were made.

    Args:
        project: whose.
        pairs: only of these pairs; None for all.
        using: the alias of another connection.
    """
    found = _in_force(project, using)
    if pairs is not None:
        found = found.filter(judgement__assignment__pair__in=pairs)
    for edit in found.iterator(chunk_size=500):
        yield EditedAnswer(
            judgement=edit.judgement_id,
            pair=edit.judgement.assignment.pair_id,
            annotator=edit.judgement.annotator_id,
            candidate=edit.candidate_id,
            is_first=edit.is_first,
            original=edit.candidate.text,
            text=edit.text,
            edit_distance=edit.edit_distance,
        )


def _in_force(project: Project, using: str | None) -> QuerySet[Any]:
    edits: QuerySet[Any] = Edit.objects.using(using) if using else Edit.objects.all()
    found: QuerySet[Any] = (
        edits.filter(judgement__is_current=True, judgement__assignment__project=project)
        .annotate(is_first=Q(candidate=F("judgement__assignment__pair__first")))
        .select_related("candidate", "judgement__assignment")
        .order_by("pk")
    )
    return found


def edit_with(judgement: Judgement) -> Edit | None:
    return Edit.objects.filter(judgement=judgement).first()
