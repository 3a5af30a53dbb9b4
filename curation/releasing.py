"""What was chosen -> release: what leaves the house, frozen, explained, and byte-identical when rebuilt."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from django.conf import settings
from django.db.backends.base.base import BaseDatabaseWrapper
from numpy.typing import NDArray

from annotation.errors import Refused
from annotation.models import Project, Run, User
from annotation.recording import record
from annotation.running import Hold, request_run
from curation.choosing import (
    ANNOTATORS,
    DIFFICULTY,
    MOST_HARMFUL,
    Chosen,
    Plan,
    check_harm,
    choose,
    pieces_of,
    plan,
    snapshot,
    texts,
)
from curation.deciding import RULES
from curation.export import files
from curation.export.card import card
from curation.export.records import Broken
from curation.inline import run_here
from curation.lineage import InForce, lineage_of, tallies_digest, title_and_guideline
from curation.metrics.agreement import krippendorff_alpha
from curation.metrics.labels import Labels
from curation.models import Release, Selection
from curation.models.releases import Salt
from curation.selecting import Criterion, from_json

__all__ = ["ANNOTATORS", "RULES", "Plan", "Released", "execute", "plan", "release"]

# The card's intervals: the same judgements must give the same bytes.
SEED = 0
BEAT_EVERY = 5.0
# What a run's parameters say beside the name and the criteria.
PARAMETERS = (
    *("rule", "layout", "annotators", "ties", "least_probability", "licence", "limits", "test_share", "seed"),
    *("names", "near_duplicates", "quotas", "cuts", "difficulty", "sign_off"),
)


@dataclass(frozen=True)
class Released:
    """A release, and whether it was there already with the same content."""

    release: Release
    is_new: bool

    def as_result(self) -> dict[str, Any]:
        """For the run that made it."""
        made = self.release
        return {"release": made.pk, "digest": made.digest, "rows": made.rows, "is_new": self.is_new}


def release(
    *,
    project: Project,
    version: str,
    where: Sequence[Criterion] = (),
    rule: str = "majority",
    layout: str = "trl_dpo",
    annotators: str = "people",
    ties: str = "",
    least_probability: float = 0.0,
    out: Path | None = None,
    licence: str = "",
    limits: str = "",
    test_share: float = 0.0,
    seed: int = 0,
    names: bool = False,
    near_duplicates: float = 0.0,
    quotas: Mapping[str, int] | None = None,
    cuts: Sequence[float] = (),
    difficulty: str = DIFFICULTY,
    sign_off: str = "",
    actor: User | None = None,
    command: str = "",
    progress: Callable[[int, int], None] | None = None,
) -> Released:
    """Write a release: parquet, card, manifest and checksums in a folder that is there whole or not at all.

    Everything is read in one snapshot on a connection of its own: a judgement that arrives meanwhile changes nothing.
    The rows stand in the order of the pairs' numbers. Releasing the same version again with the same content is
    harmless.

    Args:
        project: whose pairs.
        version: the release's name, unique in the project.
        where: which pairs; those taken out of play stay out unless a criterion speaks of them.
        rule: how judgements become a chosen answer, a name of `RULES`. Both bad never does.
        layout: a name of `LAYOUTS`.
        annotators: whose judgements count: people, judges or all.
        ties: what becomes of a tie, a name of `TIES`; by default they are dropped where an answer is chosen.
        least_probability: how sure the rule `dawid_skene` must be, 0 to 1.
        out: the folder; by default one under the folder of releases.
        licence, limits: for the card.
        test_share, seed: the share of prompts whose pairs go into the split test, and what it is drawn by.
        names: tell annotators by their names; otherwise by pseudonyms that no other release has.
        near_duplicates: the least similarity, 0 to 1, from which the later of two pairs is dropped; 0 drops none.
        quotas: at most how many pairs with a tag, drawn by `seed`.
        cuts: shares of the easiest pairs; each is a config beside the whole, ordered from easy to hard.
        difficulty: the metric by which, as the latest finished run measured it.
        sign_off: why more pairs than `MOST_HARMFUL` may be flagged as harmful.
        actor, command: who releases: an account, or the command's name.
        progress: called with rows written and rows in all.

    Raises:
        Refused: an argument is not possible, the folder is taken, the version exists with other content, a row would
            mislead a trainer (the pair is named), or the disk is full. Nothing was released, and what was there is
            there.
    """
    asked = plan(
        project=project,
        version=version,
        where=where,
        rule=rule,
        layout=layout,
        annotators=annotators,
        ties=ties,
        least_probability=least_probability,
        licence=licence,
        limits=limits,
        test_share=test_share,
        seed=seed,
        names=names,
        near_duplicates=near_duplicates,
        quotas=quotas,
        cuts=cuts,
        difficulty=difficulty,
        sign_off=sign_off,
    )
    folder = Path(out).absolute() if out else usual_folder(asked)
    _check_place(folder, asked)
    parameters = {
        "release": version,
        "where": [one.as_json() for one in asked.where],
        "rule": rule,
        "layout": layout,
        "annotators": annotators,
        "ties": asked.ties,
        "least_probability": asked.least_probability,
        "licence": licence,
        "limits": limits,
        "test_share": test_share,
        "seed": seed,
        "names": names,
        "near_duplicates": near_duplicates,
        "quotas": dict(asked.quotas),
        "cuts": list(asked.cuts),
        "difficulty": difficulty,
        "sign_off": sign_off,
        "folder": os.fspath(folder),
    }
    done: list[Released] = []

    def execute_here(hold: Hold) -> dict[str, Any]:
        done.append(_release(hold, asked, folder, command=command or "release", progress=progress))
        return done[0].as_result()

    run_here(
        project=project,
        kind=Run.Kind.RELEASE,
        parameters=parameters,
        actor=actor,
        command=command or "release",
        execute=execute_here,
    )
    done[0].release.refresh_from_db()
    return done[0]


def execute(hold: Hold) -> dict[str, Any]:
    """Do the release that a run asks for. Returns the run's result.

    Raises:
        Refused: as `release`.
        Cancelled, Superseded: as `Hold.beat`.
    """
    project, parameters = hold.run.project, hold.run.parameters
    if project is None or "release" not in parameters:
        raise Refused(f"{hold.run} does not say what to release of which project.")
    known = {key: parameters[key] for key in PARAMETERS if key in parameters}
    asked = plan(project=project, version=parameters["release"], where=from_json(parameters.get("where", [])), **known)
    folder = Path(parameters.get("folder") or usual_folder(asked))
    promised = parameters.get("promised")
    return _release(hold, asked, folder, command="release", progress=None, promised=promised).as_result()


def request_release(
    *,
    project: Project,
    actor: User,
    version: str,
    where: Sequence[Criterion] = (),
    promised: int | None = None,
    **options: Any,
) -> Run:
    """Ask a worker for a release into the server's folder of releases.

    Args:
        project, version, where: as `release`.
        actor: who asks.
        promised: how many pairs whoever asks was told; with another number nothing is released.
        options: what else `plan` takes.

    Raises:
        Refused: what the worker would refuse later.
    """
    asked = plan(project=project, version=version, where=where, **options)
    _check_place(usual_folder(asked), asked)
    parameters = {**options, "release": version, "where": [one.as_json() for one in where]}
    if promised is not None:
        parameters["promised"] = promised
    return request_run(project=project, kind=Run.Kind.RELEASE, parameters=parameters, actor=actor)


def usual_folder(asked: Plan) -> Path:
    return Path(settings.RELEASES) / asked.project.slug / asked.version


def _release(
    hold: Hold,
    asked: Plan,
    folder: Path,
    *,
    command: str,
    progress: Callable[[int, int], None] | None,
    promised: int | None = None,
) -> Released:
    _check_place(folder, asked)
    there = Release.objects.filter(project=asked.project, version=asked.version).first()
    # Made again, a release has the same pseudonyms.
    asked = replace(asked, salt=there.salt if there else drawn_salt(asked))
    run = hold.run
    try:
        with files.beside(folder) as temporary:
            manifest = _write(
                asked,
                temporary,
                code_version=run.code_version,
                progress=_beating(hold, progress),
                promised=promised,
            )
            return _publish(asked, manifest, temporary, folder, hold=hold, command=command)
    except (Broken, files.Taken) as error:
        raise Refused(str(error)) from error
    except OSError as error:
        raise Refused(_about_disk(error, folder)) from error


def drawn_salt(asked: Plan) -> str:
    """What makes the pseudonyms of a release its own: drawn once, however many processes make it at once."""
    Salt.objects.bulk_create([Salt(project=asked.project, version=asked.version)], ignore_conflicts=True)
    return Salt.objects.get(project=asked.project, version=asked.version).salt


def _check_place(folder: Path, asked: Plan) -> None:
    try:
        files.check_place(folder, project=asked.project.slug, version=asked.version)
    except files.Taken as error:
        raise Refused(str(error)) from error


def _about_disk(error: OSError, folder: Path) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return (
            f"The disk of {folder.parent} is full. Nothing was released, and what was there is there. "
            "Free space and release again."
        )
    return f"{folder} cannot be written: {error.strerror or error}. Nothing was released."


def _beating(hold: Hold, progress: Callable[[int, int], None] | None) -> Callable[[int, int], None]:
    """Tell how far it is, and keep the run's lease while it takes long."""
    last = time.monotonic()

    def tell(done: int, total: int) -> None:
        nonlocal last
        if progress is not None:
            progress(done, total)
        if time.monotonic() - last > BEAT_EVERY:
            hold.beat(progress=done, total=total)
            last = time.monotonic()

    return tell


# ---- writing -------------------------------------------------------------------------------------------------------


def _write(
    asked: Plan,
    folder: Path,
    *,
    code_version: str,
    progress: Callable[[int, int], None],
    promised: int | None = None,
) -> dict[str, Any]:
    """Write all files of the release into `folder` and return its manifest."""
    with snapshot() as reader:
        chosen = choose(asked, using=reader)
        if promised is not None and promised != len(chosen.pairs):
            raise Refused(
                f"{promised:,} pairs were counted when this release was asked for, and now it would hold "
                f"{len(chosen.pairs):,}: judgements came in between. Nothing was released. Count again."
            )
        check_harm(asked, chosen)
        total = sum(map(len, chosen.splits.values()))
        progress(0, total)
        # Before the rows: reading these looks pairs up one by one, which is no way to count.
        title, guideline = title_and_guideline(asked, using=reader)
        manifest = _manifest(asked, chosen, guideline, using=reader, code_version=code_version)
        sizes = dict.fromkeys(chosen.splits, 0)
        done = 0

        def batches(split: str, pieces: list[NDArray[np.int64]]) -> Generator[pa.RecordBatch, None, None]:
            nonlocal done
            with closing(texts(asked, chosen, pieces, using=reader)) as found:
                for piece, rows in zip(pieces, found, strict=True):
                    built = asked.build(rows)
                    sizes[split] += built.nbytes
                    done += len(piece)
                    yield built
                    progress(done, total)

        shards = []
        for split in chosen.splits:
            pieces = pieces_of(asked, chosen, split)
            names = files.shard_names(len(pieces), within=split)
            # Closed before the snapshot is: after an error nobody may still be reading from it.
            with closing(batches(split, pieces)) as rows:
                shards += files.write_shards(rows, folder=folder, names=names, schema=asked.schema)
    manifest["rows"] = sum(one.rows or 0 for one in shards if one.path.startswith(f"{asked.layout.name}/"))
    manifest["splits"] = {
        split: sum(one.rows or 0 for one in shards if one.path.startswith(f"{split}-")) for split in chosen.splits
    }
    manifest["files"] = [one.as_json() for one in shards]
    text = card(manifest, title=title, guideline=guideline.text, arrow_bytes=sizes)
    readme = files.write_text(folder, files.CARD, text)
    manifest["files"].append(readme.as_json())
    described = files.write_text(folder, files.MANIFEST, files.canonical(manifest))
    files.write_sums(folder, [*shards, readme, described])
    return manifest


def _manifest(
    asked: Plan, chosen: Chosen, guideline: InForce, *, using: BaseDatabaseWrapper, code_version: str
) -> dict[str, Any]:
    """What decides the release and what came of it. No times, no paths, nothing that differs when it is rebuilt."""
    facts = chosen.facts
    lineage = lineage_of(chosen, using=using)
    return {
        "format": files.FORMAT,
        "project": asked.project.slug,
        "version": asked.version,
        "layout": asked.layout.name,
        "rule": asked.rule,
        "voices": asked.annotators,
        "criteria": [one.text for one in asked.where],
        "pairs": len(facts),
        "chosen": len(chosen.pairs),
        "ties": asked.ties,
        "least_probability": asked.least_probability,
        "test_share": asked.test_share,
        "seed": asked.seed,
        "names": asked.names,
        "near_duplicates": asked.near_duplicates,
        "quotas": dict(asked.quotas),
        "cuts": chosen.cuts,
        "harmful": {
            "pairs": chosen.harmful,
            "most": MOST_HARMFUL,
            "sign_off": asked.sign_off,
            "through": chosen.flags_through,
        },
        "adjudicated": {"pairs": chosen.adjudicated, "through": chosen.rulings_through},
        "steps": [{"name": step.name, "removed": step.removed, "left": step.left} for step in chosen.sieve.steps],
        "judgements": {
            "counted": int(facts.judgements.sum()),
            "through": lineage.through,
            "sha256": tallies_digest(facts),
        },
        "annotators": lineage.annotators,
        "agreement": {
            "selected": _alpha(facts.labels(chosen.selected)),
            "released": _alpha(facts.labels(chosen.pairs)),
        },
        "guideline": {
            "version": guideline.version,
            "sha256": files.digest_of(guideline.text) if guideline.version else None,
            "judged_under": lineage.guidelines,
        },
        "licence": asked.licence,
        "limits": asked.limits,
        "code_version": code_version,
        "writer": {"pyarrow": pa.__version__, "group_rows": files.GROUP_ROWS, "shard_rows": files.SHARD_ROWS},
        "schema": [{"name": field.name, "type": str(field.type)} for field in asked.schema],
    }


def _alpha(labels: Labels) -> dict[str, Any]:
    return krippendorff_alpha(labels, rng=np.random.default_rng(SEED)).as_json()


# ---- publishing ----------------------------------------------------------------------------------------------------


def _publish(
    asked: Plan,
    manifest: dict[str, Any],
    temporary: Path,
    folder: Path,
    *,
    hold: Hold,
    command: str,
) -> Released:
    """Write the release's row and rename its folder: both, or neither."""
    digest = files.digest_of(manifest)
    project, actor = asked.project, hold.run.started_by
    with hold.fenced():
        # Two releases of one version at once: the second sees the first's row.
        Project.objects.select_for_update().get(pk=project.pk)
        there = Release.objects.filter(project=project, version=asked.version).first()
        if there is not None and there.digest != digest:
            raise files.Taken(
                f"{asked.version} was released already with {there.rows} rows and other content, "
                f"and a release is final: {_difference(there.manifest, manifest)}. Choose another name."
            )
        is_new = there is None
        if there is None:
            there = Release.objects.create(
                project=project,
                version=asked.version,
                selection=_selection(asked, actor=actor),
                run=hold.run,
                rule=asked.rule,
                layout=asked.layout.name,
                manifest=manifest,
                digest=digest,
                rows=manifest["rows"],
                salt=asked.salt,
                folder=os.fspath(folder),
                released_by=actor,
            )
            after = {
                "digest": digest,
                "rows": manifest["rows"],
                "rule": asked.rule,
                "layout": asked.layout.name,
                "names": asked.names,
                "harmful": manifest["harmful"],
            }
            record(
                act="release",
                subject=f"release {asked.version}",
                actor=actor,
                command=command,
                project=project,
                after=after,
            )
        files.check_place(folder, project=project.slug, version=asked.version)
        files.put_in_place(temporary, folder)
    return Released(release=there, is_new=is_new)


def _difference(old: dict[str, Any], new: dict[str, Any]) -> str:
    """What differs first, for a sentence."""
    for key, words in (
        ("criteria", "the criteria differ"),
        ("rule", "the rule differs"),
        ("layout", "the layout differs"),
        ("ties", "ties are treated otherwise"),
        ("least_probability", "the least probability differs"),
        ("test_share", "the split differs"),
        ("seed", "the split differs"),
        ("near_duplicates", "near duplicates are dropped otherwise"),
        ("quotas", "the quotas differ"),
        ("cuts", "the cuts by difficulty differ"),
        ("harmful", "what is flagged as harmful, or its reason, differs"),
        ("names", "names are told in one of them and not in the other"),
        ("voices", "other annotators count"),
        ("judgements", "judgements have come or changed since"),
        ("code_version", f"it was made by the code {old.get('code_version')}, this is {new['code_version']}"),
    ):
        if old.get(key) != new[key]:
            return words
    return "the texts, the guideline or the card's words differ"


def _selection(asked: Plan, *, actor: User | None) -> Selection:
    """The saved selection with these criteria, of this name; a new version of it when the criteria are new."""
    criteria = [one.as_json() for one in asked.where]
    same_name = Selection.objects.filter(project=asked.project, name=asked.version).order_by("-version")
    for one in same_name:
        if one.criteria == criteria:
            return one
    newest = same_name.first()
    version = newest.version + 1 if newest else 1
    return Selection.objects.create(
        project=asked.project, name=asked.version, version=version, criteria=criteria, owner=actor
    )
