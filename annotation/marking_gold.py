"""Pairs -> gold: what is right of them, and what they are used for; and gold -> pairs like any other.

How gold is handed out, and how its annotators stand, is in calibrating.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from django.db import transaction

from annotation import opening, ordering
from annotation.errors import Refused
from annotation.models import Pair, Project, User
from annotation.plans import UNSTORABLE
from annotation.recording import record

LONGEST_WHY = 5000
VERDICTS = ("first", "second", "tie")
# What is said of a pair that is gold no longer. It is a pair like any other then, with slots of its own.
NOT_GOLD = "none"
USES = (str(Pair.GoldUse.CHECK), str(Pair.GoldUse.EXAMPLE), NOT_GOLD)
FIELDS = ("verdict", "use", "why", "id", "pair")


@dataclass(frozen=True, slots=True)
class Gold:
    """What is said of one pair, named by its identifier in the file it came with or by its number here.

    `verdict` is first, second or tie. Of a pair named by its identifier, first is the first of that file; of a pair
    named by its number, the first that the board shows. `use` is check, example or none: gold no longer. `line` is
    where it stands in a file, for what is refused.
    """

    verdict: str = ""
    use: str = Pair.GoldUse.CHECK
    why: str = ""
    external_id: str = ""
    pair: int | None = None
    line: int | None = None

    def __post_init__(self) -> None:
        if bool(self.external_id) == (self.pair is not None):
            raise Refused("Name the pair once: by id (of its file) or by pair (its number here).")

    @classmethod
    def read(cls, text: str) -> Gold:
        """From a JSON object with `id` or `pair`, `verdict`, `use` and `why`; raises Refused."""
        try:
            sent = json.loads(text)
        except (ValueError, RecursionError):
            raise Refused("This is not JSON.") from None
        if not isinstance(sent, dict):
            raise Refused("This is not a JSON object.")
        if unknown := set(sent) - set(FIELDS):
            raise Refused(f"Unknown: {', '.join(sorted(unknown))}. Known are {', '.join(FIELDS)}.")
        verdict, use, why, external = (sent.get(name, "") for name in ("verdict", "use", "why", "id"))
        number = sent.get("pair")
        if not all(isinstance(one, str) for one in (verdict, use, why, external)):
            raise Refused("verdict, use, why and id are texts.")
        if type(number) not in (int, type(None)):
            raise Refused("pair is a whole number.")
        return cls(verdict=verdict, use=use or Pair.GoldUse.CHECK, why=why, external_id=external, pair=number)


def read_gold(text: str) -> list[Gold]:
    """A gold file: JSON lines, empty ones left out; raises Refused with the number of the line."""
    found = []
    # Not splitlines: JSON may hold the line separators of Unicode as they are.
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            found.append(replace(Gold.read(line), line=number))
        except Refused as error:
            raise Refused(f"Line {number}: {error}") from None
    return found


@transaction.atomic
def mark_gold(*, project: Project, gold: Iterable[Gold], actor: User | None = None, command: str = "") -> int:
    """Say of pairs what is right, and what they are used for. Returns how many there were; all or none.

    Their open slots are removed: gold is handed out by itself. Pairs that are gold no longer get theirs. What was
    answered stays, and counts as an answer to a pair; to gold rounds it counts while the pair is a check. Marking twice
    changes nothing.

    Raises:
        Refused: what is wrong with which one, and what would be right: its line in a file, or its place among several.
    """
    given = list(gold)
    marked: dict[int, Gold] = {}
    for place, one in enumerate(given, start=1):
        at = f"Line {one.line or place}: " if one.line or len(given) > 1 else ""
        if fault := _fault(one):
            raise Refused(f"{at}{fault}")
        pair = _pair_of(project, one, at)
        if pair.pk in marked:
            raise Refused(f"{at}Pair {pair.pk} is named a second time. Name each once.")
        Pair.objects.filter(pk=pair.pk).update(**_stored(one, pair))
        marked[pair.pk] = one
    if marked:
        opening.open_slots(project=project, pairs=marked)
        uses = [one.use for one in marked.values()]
        record(
            act="pairs.gold",
            subject=project.slug,
            actor=actor,
            command=command,
            project=project,
            after={"pairs": len(marked), "checks": uses.count(Pair.GoldUse.CHECK), "not_gold": uses.count(NOT_GOLD)},
        )
    return len(marked)


def _fault(one: Gold) -> str:
    """What is wrong with it, whatever the pair is; empty: nothing."""
    for name, text in (("id", one.external_id), ("why", one.why)):
        if strange := UNSTORABLE.search(text):
            return f"“{name}” holds the character U+{ord(strange[0]):04X}, which cannot be stored. Leave it out."
    if one.use not in USES:
        return f"The use is {one.use[:60]!r}. It is check, example, or none for a pair that is gold no longer."
    if one.use == NOT_GOLD:
        return "A pair that is gold no longer has no verdict. Leave it out." if one.verdict else ""
    if one.verdict not in VERDICTS:
        return f"The verdict is {one.verdict[:60]!r}. It is first, second or tie."
    if one.use == Pair.GoldUse.EXAMPLE and not one.why.strip():
        return "An example is explained: say why."
    if len(one.why) > LONGEST_WHY:
        return f"“why” is longer than {LONGEST_WHY:,} characters. Shorten it."
    return ""


def _stored(one: Gold, pair: Pair) -> dict[str, Any]:
    if one.use == NOT_GOLD:
        return {"is_gold": False, "gold_use": "", "gold_verdict": "", "gold_why": ""}
    return {
        "is_gold": True,
        "gold_use": one.use,
        "gold_verdict": _verdict(one, pair),
        "gold_why": one.why.replace("\r\n", "\n").strip(),
    }


def _verdict(one: Gold, pair: Pair) -> str:
    """The verdict for the pair's first candidate, which may be the second of the file that it came with."""
    imported = pair.meta.get("imported") or {}
    is_turned = one.pair is None and imported.get("a") == "second"
    return ordering.turned(one.verdict, swapped=is_turned) if one.verdict != "tie" else "tie"


def _pair_of(project: Project, one: Gold, at: str) -> Pair:
    named = {"pk": one.pair} if one.pair is not None else {"external_id": one.external_id}
    found = list(Pair.objects.filter(project=project, **named)[:2])
    if len(found) != 1:
        name = one.pair if one.pair is not None else one.external_id[:60]
        raise Refused(
            f"{at}There is no pair {name!r} in this project."
            if not found
            else f"{at}Several pairs have the id {name!r}. Name it by “pair”, its number here."
        )
    return found[0]
