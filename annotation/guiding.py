"""Guidelines: publishing a version, acknowledging it, and what changed between two."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import Exists, Max, OuterRef
from django.utils import timezone
from django.utils.text import slugify
from django.utils.translation import gettext as _

from annotation import rendering
from annotation.answering import Unfit
from annotation.errors import Refused
from annotation.models import (
    Annotator,
    Guideline,
    GuidelinePrinciple,
    GuidelineReading,
    Judgement,
    Principle,
    Project,
    Ranking,
    User,
)
from annotation.recording import record

LONGEST_TEXT = 100_000
MOST_PRINCIPLES = 40


@dataclass(frozen=True)
class Entry:
    """A principle as it is written down: a short name and what it asks for."""

    short: str
    text: str


@transaction.atomic
def publish_guideline(
    *,
    project: Project,
    text: str,
    principles: Sequence[Entry] = (),
    priority_rules: Sequence[str] = (),
    change_note: str = "",
    actor: User | None = None,
    command: str = "",
    at: datetime | None = None,
) -> Guideline:
    """Write the next version of the project's guideline and put it in force. Earlier versions stay as they are.

    `at` dates a version that was in force before it was written here; by default it is now.

    A principle with the same name and text as one that the project has is that one; with another text it is a new
    principle, because votes and earlier versions stand by what was written.

    Raises:
        Refused: nothing written, too much written, or a principle twice or half empty.
    """
    text = text.replace("\r\n", "\n").strip()
    if not text:
        raise Refused("The guideline is empty. Write at least a sentence on what annotators decide.")
    if len(text) > LONGEST_TEXT:
        raise Refused(f"The guideline has {len(text):,} characters. It may have {LONGEST_TEXT:,}.")
    _check(principles)
    # The project's row is the lock: two versions at once get two numbers.
    project = Project.objects.select_for_update(no_key=True).get(pk=project.pk)
    last = Guideline.objects.filter(project=project).aggregate(last=Max("version"))["last"] or 0
    guideline = Guideline.objects.create(
        project=project,
        version=last + 1,
        text=text,
        html=rendering.render_text(text),
        change_note=change_note.strip(),
        priority_rules=[rule.strip() for rule in priority_rules if rule.strip()],
        created_by=actor,
        created_at=at or timezone.now(),
    )
    GuidelinePrinciple.objects.bulk_create(
        GuidelinePrinciple(guideline=guideline, principle=principle, position=position)
        for position, principle in enumerate(_principles(project, principles), start=1)
    )
    before = project.guideline.version if project.guideline else None
    project.guideline = guideline
    project.save(update_fields=["guideline"])
    record(
        act="guideline.publish",
        subject=f"guideline {guideline.version}",
        actor=actor,
        command=command,
        project=project,
        before={"version": before},
        after={"version": guideline.version, "principles": len(principles), "change_note": guideline.change_note},
    )
    return guideline


def _check(principles: Sequence[Entry]) -> None:
    if len(principles) > MOST_PRINCIPLES:
        raise Refused(f"There are {len(principles)} principles. A guideline has at most {MOST_PRINCIPLES}.")
    names: dict[str, int] = {}
    for number, entry in enumerate(principles, start=1):
        if not entry.short.strip() or not entry.text.strip():
            raise Refused(f"Principle {number} needs both a short name and a text.")
        if len(entry.short.strip()) > 100:
            raise Refused(
                f"The short name of principle {number} has more than 100 characters. Move some into the text."
            )
        folded = entry.short.strip().casefold()
        if folded in names:
            raise Refused(f"Principles {names[folded]} and {number} have the same short name. Give each its own.")
        names[folded] = number


def _principles(project: Project, entries: Sequence[Entry]) -> list[Principle]:
    # Rows in the order of their making: where several say the same, the first is the one.
    known: dict[tuple[str, str], Principle] = {}
    for principle in Principle.objects.filter(project=project).order_by("-pk"):
        known[principle.short, principle.text] = principle
    keys = set(Principle.objects.filter(project=project, source="").values_list("key", flat=True))
    found = []
    for entry in entries:
        short, text = entry.short.strip(), entry.text.replace("\r\n", "\n").strip()
        if (short, text) not in known:
            base = slugify(short)[:80] or "principle"
            key, n = base, 2
            while key in keys:
                key, n = f"{base}-{n}", n + 1
            keys.add(key)
            known[short, text] = Principle.objects.create(project=project, key=key, short=short, text=text)
        found.append(known[short, text])
    return found


def acknowledge(*, annotator: Annotator, guideline: Guideline) -> None:
    """The annotator has read this version. Twice does no harm.

    Raises:
        Refused: the guideline is another project's.
    """
    if guideline.project_id != annotator.project_id:
        raise Refused(_("This guideline belongs to another project."))
    GuidelineReading.objects.bulk_create(
        [GuidelineReading(annotator=annotator, guideline=guideline)], ignore_conflicts=True
    )


def has_acknowledged(*, annotator: Annotator, guideline: Guideline) -> bool:
    return GuidelineReading.objects.filter(annotator=annotator, guideline=guideline).exists()


def is_news_to(annotator: Annotator) -> bool:
    """Whether the guideline in force waits to be acknowledged: their page then shows it, and asks before an answer."""
    guideline = annotator.project.guideline
    return guideline is not None and not has_acknowledged(annotator=annotator, guideline=guideline)


def version_of(*, project: Project, version: int) -> int:
    """The id of a version that was named by its number; 0: none was written yet.

    Raises:
        Refused: the project has no such version.
    """
    found = project.guidelines.filter(version=version).values_list("pk", flat=True).first() if version else 0
    if found is None:
        raise Refused(f"The guideline has no version {version}. Leave it out for the one in force.")
    return found


def remind(annotator: Annotator, *, reminded: bool) -> None:
    """Before an answer by plain form: once, where the guideline waits to be acknowledged. `reminded`: it was said.

    Raises:
        Unfit: with the field "guideline". The answer was not stored; sent again, it is.
    """
    if not reminded and is_news_to(annotator):
        raise Unfit(
            _("Read the guideline first: it waits to be acknowledged. Your answer is still here; then submit again."),
            field="guideline",
        )


@dataclass(frozen=True)
class Known:
    """An earlier version that an annotator knows: acknowledged, or only judged or ranked under."""

    guideline: Guideline
    is_acknowledged: bool


def last_known(*, annotator: Annotator, before: Guideline) -> Known | None:
    """The version before `before` that a change is shown against; None: `before` is the first that they see.

    It is the last that they acknowledged; who never did is shown what is new since the last one they answered under.
    """
    earlier = Guideline.objects.filter(project=annotator.project_id, version__lt=before.version).order_by("-version")
    acknowledged = earlier.filter(readings__annotator=annotator).first()
    if acknowledged is not None:
        return Known(acknowledged, is_acknowledged=True)
    judged = Judgement.objects.filter(annotator=annotator, guideline=OuterRef("pk"))
    ranked = Ranking.objects.filter(annotator=annotator, guideline=OuterRef("pk"))
    answered = earlier.filter(Exists(judged) | Exists(ranked)).first()
    return Known(answered, is_acknowledged=False) if answered else None


# ---- what changed --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Piece:
    """A stretch of text that two versions share (`same`), or that only one of them has (`added`, `removed`)."""

    kind: str
    text: str


def difference(old: str, new: str) -> list[Piece]:
    """The way from `old` to `new`, word by word.

    The pieces `same` and `removed` together are `old`, `same` and `added` together are `new`. Lines are compared first
    and words only inside lines that changed, so that long texts stay quick.
    """
    pieces: list[Piece] = []
    before, after = old.splitlines(keepends=True), new.splitlines(keepends=True)
    for op, i1, i2, j1, j2 in difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        removed, added = "".join(before[i1:i2]), "".join(after[j1:j2])
        if op == "equal":
            pieces.append(Piece("same", removed))
        elif len(removed) > 20_000 or len(added) > 20_000:
            pieces += [Piece("removed", removed), Piece("added", added)]
        else:
            pieces += _by_word(removed, added)
    return _joined(pieces)


def _by_word(old: str, new: str) -> list[Piece]:
    before, after = re.findall(r"\s+|\w+|[^\w\s]", old), re.findall(r"\s+|\w+|[^\w\s]", new)
    pieces = []
    for op, i1, i2, j1, j2 in difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if op == "equal":
            pieces.append(Piece("same", "".join(before[i1:i2])))
        else:
            pieces += [Piece("removed", "".join(before[i1:i2])), Piece("added", "".join(after[j1:j2]))]
    return pieces


def _joined(pieces: list[Piece]) -> list[Piece]:
    joined: list[Piece] = []
    for piece in pieces:
        if not piece.text:
            continue
        if joined and joined[-1].kind == piece.kind:
            joined[-1] = Piece(piece.kind, joined[-1].text + piece.text)
        else:
            joined.append(piece)
    return joined


@dataclass(frozen=True)
class PrincipleChange:
    """One line of the comparison of two versions' principles."""

    kind: str
    principle: Principle


def principle_changes(old: Guideline, new: Guideline) -> list[PrincipleChange]:
    """The principles that only one of the two versions has; a changed text shows as one removed and one added."""
    before = [place.principle for place in old.places.select_related("principle")]
    after = [place.principle for place in new.places.select_related("principle")]
    gone = [PrincipleChange("removed", principle) for principle in before if principle not in after]
    come = [PrincipleChange("added", principle) for principle in after if principle not in before]
    return gone + come
