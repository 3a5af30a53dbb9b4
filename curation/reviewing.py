"""A release on its page: against the one before, and verified. What takes long is left to the commands."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from annotation.errors import Refused
from curation.diffing import diff
from curation.models import Release
from curation.verifying import verify

# Beyond so many rows, nobody waits at a page.
MOST_ROWS = 50_000


@dataclass(frozen=True)
class Figure:
    name: str
    before: str
    after: str
    change: str


def before(release: Release) -> Release | None:
    """The project's release before this one."""
    older = Release.objects.filter(project=release.project_id, pk__lt=release.pk)
    return older.order_by("-pk").first()


def figures(old: Release, new: Release) -> list[Figure]:
    """What the two manifests say, side by side. No row is read."""
    return [
        _figure("Pairs", *(one.manifest.get("chosen", one.rows) for one in (old, new)), form=",.0f"),
        _figure("Rows", old.rows, new.rows, form=",.0f"),
        _figure(
            "Agreement α",
            *((one.manifest.get("agreement", {}).get("released") or {}).get("value") for one in (old, new)),
            form=".2f",
        ),
        _figure("Annotators", *(_annotators(one.manifest) for one in (old, new)), form=",.0f"),
    ]


def _annotators(manifest: dict[str, Any]) -> int | None:
    who = manifest.get("annotators", {})
    return who["people"] + who["judges"] if {"people", "judges"} <= who.keys() else None


def _figure(name: str, old: float | None, new: float | None, *, form: str) -> Figure:
    change = "" if old is None or new is None else f"{new - old:+{form}}".replace("-", "−")
    left, right = ("" if one is None else f"{one:{form}}" for one in (old, new))
    return Figure(name=name, before=left, after=right, change=change)


class Change(NamedTuple):
    """Pairs to which the same happened: `kind` is a name for programs, `says` is for people and goes by the number."""

    kind: str
    says: str
    pairs: int
    reasons: list[tuple[str, int]]


KINDS = ("came", "went", "changed", "same")


def changes(old: Release, new: Release) -> tuple[list[Change], str]:
    """What came, went and changed, each with counts by reason; or nothing, and why not."""
    if max(old.rows, new.rows) > MOST_ROWS:
        return [], f"With so many rows, use the command: manage.py diff_releases {old.folder} {new.folder}"
    try:
        found = diff(Path(old.folder), Path(new.folder))
    except Refused as refusal:
        return [], str(refusal)
    parts = (("came", "new", found.came), ("went", "gone", found.went), ("changed", "otherwise", found.changed))
    told = [
        Change(
            kind,
            f"{'pair is' if len(pairs) == 1 else 'pairs are'} {what}",
            len(pairs),
            Counter(pairs.values()).most_common(),
        )
        for kind, what, pairs in parts
    ]
    return [*told, Change("same", "the same", found.same, [])], ""


def verified(release: Release) -> list[str]:
    """What is wrong with the release. Empty: nothing."""
    if release.rows > MOST_ROWS:
        return [f"This is too large to verify at a page. Use the command: manage.py verify_release {release.folder}"]
    try:
        return verify(Path(release.folder))
    except Refused as refusal:
        return [str(refusal)]
