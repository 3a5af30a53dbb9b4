"""What was chosen -> release: what leaves the house, frozen, explained, and byte-identical when rebuilt."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from django.conf import settings

from annotation.dividing import PartHold, help_until_done
from annotation.errors import Refused
from annotation.models import Project, Run, User
from annotation.recording import record
from annotation.running import Hold, request_run
from config import processes
from curation.criteria import Criterion, from_json
from curation.deciding import RULES
from curation.export import files
from curation.export.records import Broken
from curation.inline import run_here
from curation.models import Release, Selection
from curation.models.releases import Salt
from curation.planning import ANNOTATORS, DIFFICULTY, MOST_HARMFUL, Plan, plan
from curation.sharding import write_part
from curation.subsetting import NGRAMS
from curation.writing import write

__all__ = ["ANNOTATORS", "RULES", "Plan", "Released", "execute", "plan", "release"]

BEAT_EVERY = 5.0
# What a run's parameters say beside the name and the criteria.
PARAMETERS = (
    *("rule", "layout", "annotators", "ties", "least_probability", "licence", "limits", "test_share", "seed"),
    *("names", "near_duplicates", "quotas", "subset", "embedding", "cuts", "difficulty", "difficulty_model"),
    *("most_harmful", "sign_off"),
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
    subset: int = 0,
    embedding: str = NGRAMS,
    cuts: Sequence[float | str] = (),
    difficulty: str = DIFFICULTY,
    difficulty_model: str = "",
    most_harmful: float = MOST_HARMFUL,
    sign_off: str = "",
    selection: Selection | None = None,
    workers: int = 1,
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
        subset: at most how many pairs, those that say the most; 0 for all.
        embedding: by which vectors: `ngrams`, or a model whose embeddings were measured.
        cuts: shares of the easiest pairs; each is a config beside the whole, ordered from easy to hard. One that names
            its model is written small=MODEL:0.5.
        difficulty, difficulty_model: the metric by which, a name of `HARDER`, as the latest finished run for that model
            measured it; of any model where none is named. A cut that names its model goes by that.
        most_harmful: the share of the pairs, 0 to 1, from which on those that are flagged as harmful need a reason.
        sign_off: that reason.
        selection: the saved one whose criteria lead `where`: the release says that it used it, in this version.
        workers: how many processes write; the bytes are the same with any number.
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
        subset=subset,
        embedding=embedding,
        cuts=cuts,
        difficulty=difficulty,
        difficulty_model=difficulty_model,
        most_harmful=most_harmful,
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
        "subset": subset,
        "embedding": asked.embedding,
        "cuts": [one.told for one in asked.cuts],
        "difficulty": difficulty,
        "difficulty_model": difficulty_model,
        "most_harmful": asked.most_harmful,
        "sign_off": sign_off,
        "folder": os.fspath(folder),
        **_naming(selection),
    }
    done: list[Released] = []

    def execute_here(hold: Hold) -> dict[str, Any]:
        # They start while this one chooses.
        with processes.helping(workers - 1, "curation.releasing:help_with", hold.run.pk):
            done.append(_release(hold, asked, folder, command=command or "release", progress=progress, workers=workers))
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
    asked = _plan_of(hold.run)
    folder = Path(hold.run.parameters.get("folder") or usual_folder(asked))
    promised = hold.run.parameters.get("promised")
    return _release(hold, asked, folder, command="release", progress=None, promised=promised, workers=None).as_result()


def execute_part(hold: PartHold) -> dict[str, Any]:
    """Write the shards of one part of a release that another process holds. Returns the part's result.

    Raises:
        Refused, Superseded: as `write_part`.
    """
    return write_part(hold, _salted(_plan_of(hold.run)))


def help_with(run_id: int) -> None:
    """Write parts of a release for the process that started this one, until it has ended."""
    help_until_done(run_id=run_id, do=execute_part)


def _plan_of(run: Run) -> Plan:
    """What a run asks for."""
    project, parameters = run.project, run.parameters
    if project is None or "release" not in parameters:
        raise Refused(f"{run} does not say what to release of which project.")
    known = {key: parameters[key] for key in PARAMETERS if key in parameters}
    return plan(project=project, version=parameters["release"], where=from_json(parameters.get("where", [])), **known)


def request_release(
    *,
    project: Project,
    actor: User,
    version: str,
    where: Sequence[Criterion] = (),
    selection: Selection | None = None,
    promised: int | None = None,
    **options: Any,
) -> Run:
    """Ask a worker for a release into the server's folder of releases.

    Args:
        project, version, where, selection: as `release`.
        actor: who asks.
        promised: how many pairs whoever asks was told; with another number nothing is released.
        options: what else `plan` takes.

    Raises:
        Refused: what the worker would refuse later.
    """
    asked = plan(project=project, version=version, where=where, **options)
    _check_place(usual_folder(asked), asked)
    parameters = {**options, "release": version, "where": [one.as_json() for one in where], **_naming(selection)}
    if promised is not None:
        parameters["promised"] = promised
    return request_run(project=project, kind=Run.Kind.RELEASE, parameters=parameters, actor=actor)


def _naming(selection: Selection | None) -> dict[str, int]:
    """What a run's parameters say of the saved selection. It decides no byte: its criteria are in `where`."""
    return {"selection": selection.pk} if selection else {}


def usual_folder(asked: Plan) -> Path:
    return Path(settings.RELEASES) / asked.project.slug / asked.version


def _release(
    hold: Hold,
    asked: Plan,
    folder: Path,
    *,
    command: str,
    progress: Callable[[int, int], None] | None,
    workers: int | None,
    promised: int | None = None,
) -> Released:
    _check_place(folder, asked)
    asked = _signed(_salted(asked), actor=hold.run.started_by, command=command)
    try:
        with files.beside(folder) as temporary:
            manifest, missed = write(
                hold, asked, temporary, progress=_beating(hold, progress), promised=promised, workers=workers
            )
            return _publish(asked, manifest, missed, temporary, folder, hold=hold, command=command)
    except (Broken, files.Taken) as error:
        raise Refused(str(error)) from error
    except OSError as error:
        raise Refused(_about_disk(error, folder)) from error


def _salted(asked: Plan) -> Plan:
    """Made again, a release has the same pseudonyms."""
    there = Release.objects.filter(project=asked.project, version=asked.version).first()
    return replace(asked, salt=there.salt if there else drawn_salt(asked))


def _signed(asked: Plan, *, actor: User | None, command: str) -> Plan:
    """Who answers for the reason, or for another limit. Made again, it is who did at first: the bytes are the same."""
    if not asked.sign_off and asked.most_harmful == MOST_HARMFUL:
        return asked
    there = Release.objects.filter(project=asked.project, version=asked.version).first()
    # Never an address: a release leaves the house.
    who = (actor.name or f"account {actor.pk}") if actor else f"manage.py {command}"
    return replace(asked, signed_by=there.manifest["harmful"].get("by", "") if there else who)


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


# ---- publishing ----------------------------------------------------------------------------------------------------


def _publish(
    asked: Plan,
    manifest: dict[str, Any],
    missed: dict[str, str],
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
                selection=_selection(asked, hold.run, actor=actor),
                run=hold.run,
                rule=asked.rule,
                layout=asked.layout.name,
                manifest=manifest,
                missed=missed,
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
        ("subset", "another subset was taken"),
        ("cuts", "the cuts by difficulty differ"),
        ("harmful", "what is flagged as harmful, its limit or its reason differs"),
        ("names", "names are told in one of them and not in the other"),
        ("voices", "other annotators count"),
        ("judgements", "judgements have come or changed since"),
        ("code_version", f"it was made by the code {old.get('code_version')}, this is {new['code_version']}"),
        ("facts", "the facts that criteria read are of another model or run"),
        ("heard", "pairs, flags or reasons have come since"),
        ("out_of_play", "pairs were taken out of play or put back"),
    ):
        if old.get(key) != new[key]:
            return words
    return "the texts, the guideline or the card's words differ"


def _selection(asked: Plan, run: Run, *, actor: User | None) -> Selection:
    """The saved selection that the run names. Where it names none, one with these criteria and the release's name: a
    new version of it when the criteria are new.
    """
    if named := Selection.objects.filter(project=asked.project, pk=run.parameters.get("selection")).first():
        return named
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
