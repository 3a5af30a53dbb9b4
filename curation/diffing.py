"""Two releases -> what came, what went, what changed, and why."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from annotation.errors import Refused
from annotation.models import Project
from curation.choosing import choose
from curation.export import files
from curation.hearing import as_then
from curation.lineage import tallies_digest
from curation.reading import snapshot
from curation.subsetting import NoVectors
from curation.verifying import Unknown, plan_of
from curation.voices import end

UNKNOWN = "why is not known: the judgements that decided are not there any more"
ELSEWHERE = "not a pair of that project"
LATER = "not in the project yet"
# In this order the first that differs names the change.
CHANGES = (
    ("split", "in the other split"),
    ("chosen_side", "the other answer is chosen"),
    ("counts", "other judgements"),
    ("rows", "other texts or columns"),
)


@dataclass
class Difference:
    """Numbers of pairs, ascending, each with its reason."""

    came: dict[int, str] = field(default_factory=dict)
    went: dict[int, str] = field(default_factory=dict)
    changed: dict[int, str] = field(default_factory=dict)
    same: int = 0

    def as_json(self) -> dict[str, Any]:
        """Counts by reason, and the pairs."""
        parts = {"came": self.came, "went": self.went, "changed": self.changed}
        return {
            "same": self.same,
            **{
                name: {"pairs": list(found), "reasons": dict(Counter(found.values()).most_common())}
                for name, found in parts.items()
            },
        }


def diff(old: Path, new: Path) -> Difference:
    """What differs between two releases of one project, pair by pair.

    A pair that went has as its reason the step of the new release that removed it; one that came, the step of the old
    release that had. Both are derived again from the judgements. Memory: some hundred bytes for each pair.

    Raises:
        Refused: a folder holds no release, or they are of different projects.
    """
    manifests = [_manifest(folder) for folder in (old, new)]
    if len({manifest["project"] for manifest in manifests}) > 1:
        names = " and ".join(manifest["project"] for manifest in manifests)
        raise Refused(f"These are releases of two projects, {names}. Only releases of one project can be compared.")
    before, after = (_pairs(folder, manifest) for folder, manifest in zip((old, new), manifests, strict=True))
    is_one_layout = manifests[0]["layout"] == manifests[1]["layout"]
    gone, fresh = sorted(before.keys() - after.keys()), sorted(after.keys() - before.keys())
    found = Difference(went=_removed(new, manifests[1], gone), came=_removed(old, manifests[0], fresh))
    for pair in sorted(before.keys() & after.keys()):
        one, other = before[pair], after[pair]
        compared = CHANGES if is_one_layout else CHANGES[:3]
        why = next((says for name, says in compared if one.get(name) != other.get(name)), None)
        if why is None:
            found.same += 1
        else:
            found.changed[pair] = why
    return found


def _manifest(folder: Path) -> dict[str, Any]:
    try:
        manifest = files.manifest_in(folder)
    except files.OtherFormat as other:
        raise Refused(str(other)) from other
    if manifest is None:
        raise Refused(f"{folder} holds no manifest of a release.")
    if missing := [key for key in files.KEYS if key not in manifest]:
        raise Refused(f"The manifest in {folder} does not say {', '.join(missing)}, so it cannot be compared.")
    return manifest


def _pairs(folder: Path, manifest: dict[str, Any]) -> dict[int, dict[str, Any]]:
    """Of every pair of the default config: its split, its side, its counts, and a digest of its rows."""
    found: dict[int, dict[str, Any]] = {}
    for split, row in _rows(folder, manifest):
        digest = hashlib.blake2b(repr(sorted(row.items())).encode(), digest_size=12).digest()
        for pair in row.get("pair_ids") or [row["pair_id"]]:
            known = found.setdefault(pair, {"split": split, "rows": ()})
            known["rows"] += (digest,)
            if "chosen_side" in row:
                # A tie that goes in both orders has both.
                known["chosen_side"] = (*known.get("chosen_side", ()), row["chosen_side"])
            if "n_first" in row:
                known["counts"] = tuple(row[name] for name in ("n_first", "n_second", "n_tie", "n_both_bad"))
    return found


def _rows(folder: Path, manifest: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for one in manifest["files"]:
        config, _, name = one["path"].partition("/")
        if config != manifest["layout"]:
            continue
        try:
            table = pq.ParquetFile(folder / one["path"])
            for batch in table.iter_batches(batch_size=files.GROUP_ROWS):
                for row in batch.to_pylist():
                    yield name.partition("-")[0], row
        except (OSError, pa.ArrowInvalid) as error:
            raise Refused(f"{folder / one['path']} cannot be read. Run verify_release on its folder.") from error


def _removed(folder: Path, manifest: dict[str, Any], pairs: list[int]) -> dict[int, str]:
    """By which step of the release in `folder` each of these pairs was left out of it."""
    if not pairs:
        return {}
    project = Project.objects.filter(slug=manifest["project"]).first()
    try:
        asked = plan_of(manifest, project, folder) if project else None
    except Unknown:
        asked = None
    if asked is None:
        return dict.fromkeys(pairs, UNKNOWN)
    with snapshot() as reader:
        asked = as_then(asked, using=reader)
        try:
            chosen = choose(asked, using=reader)
        except NoVectors:
            return dict.fromkeys(pairs, UNKNOWN)
    if tallies_digest(chosen.facts) != manifest["judgements"]["sha256"]:
        return dict.fromkeys(pairs, UNKNOWN)
    steps = [step.name for step in chosen.sieve.steps]
    place = dict(zip(chosen.facts.pair.tolist(), chosen.sieve.gone_at.tolist(), strict=True))
    return {
        pair: steps[place[pair]] if place.get(pair, -1) >= 0 else (LATER if pair > end(asked.heard.pair) else ELSEWHERE)
        for pair in pairs
    }
