"""The files of a release where they lie: what is there, how large, and by which name it may be fetched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curation.export.files import CARD, MANIFEST, SUMS
from curation.models import Release

# A card longer than this is not shown on the page; it can still be fetched.
MOST_CARD_BYTES = 200_000


@dataclass(frozen=True)
class ShelfFile:
    name: str
    size: int
    rows: int | None
    # As the manifest names it; empty for the manifest itself and the list of checksums.
    sha256: str


def files_of(release: Release) -> list[ShelfFile]:
    """The files that the manifest names, the manifest and the checksums. Empty: the folder is not on this machine."""
    listed = [*release.manifest.get("files", []), {"path": MANIFEST}, {"path": SUMS}]
    found = []
    for one in listed:
        path = _inside(release, one["path"])
        if path is not None:
            found.append(
                ShelfFile(
                    name=one["path"], size=path.stat().st_size, rows=one.get("rows"), sha256=one.get("sha256", "")
                )
            )
    return found


def all_of(release: Release) -> list[tuple[str, Path]] | None:
    """Every file that the manifest names, the manifest and the checksums, each with where it lies; None: not all are
    on this machine.
    """
    names = [*(one["path"] for one in release.manifest.get("files", [])), MANIFEST, SUMS]
    found = [(name, path) for name in names if (path := _inside(release, name)) is not None]
    return found if len(found) == len(names) else None


def path_of(release: Release, name: str) -> Path | None:
    """Where the file of this name lies. Only names that `files_of` gives: nothing else is reached."""
    return _inside(release, name) if name in {one.name for one in files_of(release)} else None


def _inside(release: Release, name: str) -> Path | None:
    folder = Path(release.folder).resolve()
    path = (folder / name).resolve()
    return path if path.is_relative_to(folder) and path.is_file() else None


def splits_of(release: Release) -> list[tuple[str, int]]:
    """The splits of the default config that have rows, each with how many: what can be loaded by its name."""
    told = release.manifest.get("splits", {})
    of_layout = f"{release.layout}/"
    found = [(within.removeprefix(of_layout), rows) for within, rows in told.items() if within.startswith(of_layout)]
    # The database keeps the manifest's names in an order of its own.
    found.sort(key=lambda one: one[0] != "train")
    return [one for one in found if one[1]] or found[:1] or [("train", release.rows)]


def card_of(release: Release) -> str:
    """The text of the card without its header of metadata; empty where there is none."""
    path = path_of(release, CARD)
    if path is None or path.stat().st_size > MOST_CARD_BYTES:
        return ""
    text = path.read_text(encoding="utf-8", errors="replace")
    if text.startswith("---\n"):
        _, _, text = text[4:].partition("\n---\n")
    return text.strip()


def facts_of(release: Release) -> list[tuple[str, str]]:
    """Where it comes from, in words; what the manifest does not say is left out."""
    manifest = release.manifest
    facts = [("Rule", str(release.rule)), ("Layout", str(release.layout))]
    used = release.selection
    # One that the release stored itself says no more than its criteria.
    if used and (used.is_of_the_board or used.name != release.version):
        facts.insert(0, ("Selection", str(used)))
    if "criteria" in manifest:
        facts.append(("Criteria", ", ".join(manifest["criteria"]) or "every pair in play"))
    if told := manifest.get("facts"):
        # Releases of the format before named one model and run alone.
        measures = [f"{key} for {one['model']}, run {one['run']}" for key, one in told.get("measures", {}).items()]
        facts.append(("Facts", "; ".join([f"{', '.join(told['fields'])} as in facts.parquet", *measures])))
    if "voices" in manifest:
        facts.append(("Judgements of", str(manifest["voices"])))
    counted = manifest.get("judgements", {}).get("counted")
    if counted is not None:
        facts.append(("Judgements", f"{counted:,}"))
    facts += [("Agreement α", _estimate(found)) for found in [manifest.get("agreement", {}).get("released")] if found]
    guideline = manifest.get("guideline", {})
    under = [
        f"{count:,} {'without one' if one == 'none' else f'under version {one}'}"
        for one, count in guideline.get("judged_under", {}).items()
    ]
    in_force = f"version {guideline['version']} in force" if guideline.get("version") else "none in force"
    facts.append(("Guideline", "; ".join([", ".join(under), in_force] if under else [in_force])))
    if manifest.get("code_version"):
        facts.append(("Code", str(manifest["code_version"])))
    return [*facts, ("Digest", release.digest)]


def _estimate(found: dict[str, Any]) -> str:
    if found.get("value") is None:
        return str(found.get("reason") or "undefined")
    if found.get("low") is None:
        return f"{found['value']:.2f}, no interval could be computed"
    return f"{found['value']:.2f} ({found['low']:.2f} to {found['high']:.2f}), {found['n']:,} pairs"


@dataclass(frozen=True)
class Step:
    """One step of the way from all pairs to the released ones; widths in percent of all pairs."""

    name: str
    removed: int
    left: int
    left_width: str
    removed_width: str


def steps_of(release: Release) -> list[Step]:
    steps = [(step["name"], step["removed"], step["left"]) for step in release.manifest.get("steps", [])]
    return waterfall(steps, pairs=release.manifest.get("pairs") or 0)


def waterfall(steps: Sequence[tuple[str, int, int]], *, pairs: int) -> list[Step]:
    """Steps as (name, removed, left), with their widths of `pairs` in all."""
    whole = pairs or 1
    return [
        Step(
            name=name,
            removed=removed,
            left=left,
            left_width=f"{100 * left / whole:.2f}",
            removed_width=f"{100 * removed / whole:.2f}",
        )
        for name, removed, left in steps
    ]
