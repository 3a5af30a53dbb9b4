from __future__ import annotations

import json
import re
from typing import Any

import pyarrow.parquet as pq
import pytest
from django.db import connection, connections

from annotation.models import Project
from curation.choosing import choose
from curation.criteria import parse_all
from curation.export import files
from curation.export.layouts import LAYOUTS
from curation.models import Release
from curation.planning import plan
from curation.releasing import release
from curation.verifying import verify

# What a test commits takes a second to clear away: only tests of the snapshot itself do.
committed = pytest.mark.django_db(transaction=True)
uncommitted = pytest.mark.usefixtures("same_connection")


@pytest.fixture
def released(project, make_pair, say, alice, tmp_path):
    for what in ("first", "second", "tie"):
        say(alice, make_pair(slots=0, tags=["all"]), what)
    release(project=project, version="v1", out=tmp_path / "out", where=parse_all(["tag=all"]))
    return tmp_path / "out"


def forge(folder, change):
    """Rewrite the rows and everything that vouches for them, here too, as a careful forger would."""
    manifest = json.loads((folder / files.MANIFEST).read_text())
    path = folder / manifest["files"][0]["path"]
    table = change(pq.read_table(path))
    pq.write_table(table, path)
    entries = [files.entry(folder, one["path"], rows=one.get("rows")) for one in manifest["files"]]
    manifest["files"] = [one.as_json() for one in entries]
    described = files.write_text(folder, files.MANIFEST, files.canonical(manifest))
    files.write_sums(folder, [*entries, described])
    Release.objects.update(digest=files.digest_of(manifest))


@uncommitted
def test_a_sound_release_has_nothing_wrong_with_it(released):
    assert verify(released) == []


@committed
def test_judgements_that_came_later_do_not_disturb(released, make_pair, say, bob, project):
    from annotation.models import Pair

    say(bob, Pair.objects.order_by("pk").first(), "second")
    assert verify(released) == []


@uncommitted
def test_a_judgement_that_was_revised_since_counts_as_it_did(released, say, alice):
    from annotation.models import Pair

    for pair in Pair.objects.order_by("pk"):
        say(alice, pair, "second")
    assert verify(released) == []


@uncommitted
def test_a_judgement_that_would_have_counted_makes_it_underivable_and_says_so(
    project, make_pair, say, alice, bob, tmp_path
):
    """It was being saved while a release from before these were kept took its snapshot: its number was drawn before."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval(pg_get_serial_sequence('judgement', 'id'))")
        (drawn,) = cursor.fetchone()
    pair = make_pair(slots=0)
    say(alice, pair, "first")
    made = release(project=project, version="v2", out=tmp_path / "v2").release
    say(bob, pair, "second", id=drawn)
    assert verify(tmp_path / "v2") == []
    made.missed = {}
    made.save()
    assert ["have been added since" in one for one in verify(tmp_path / "v2")] == [True]


@uncommitted
def test_changed_bytes_are_named(released):
    (released / files.CARD).write_text("# Better than it is")
    assert verify(released) == ["README.md was changed after the release."]


@uncommitted
def test_a_forged_row_is_found_even_when_every_digest_fits(released):
    forge(released, lambda table: table.slice(0, 1))
    assert ["is missing" in one for one in verify(released)] == [True]


@uncommitted
def test_a_turned_row_is_found_even_when_every_digest_fits(released):
    def turn(table):
        at = table.schema.get_field_index("chosen_side")
        sides = ["second" if side == "first" else "first" for side in table["chosen_side"].to_pylist()]
        return table.set_column(at, "chosen_side", [sides])

    forge(released, turn)
    assert ["has the wrong answer as chosen" in one for one in verify(released)] == [True, True]


@uncommitted
def test_a_row_too_many_is_found(released):
    import pyarrow as pa

    forge(released, lambda table: pa.concat_tables([table, table.slice(0, 1)]))
    assert ["is there twice" in one for one in verify(released)] == [True]


@uncommitted
def test_a_manifest_that_was_written_anew_is_not_that_of_the_release(released):
    """Whoever rewrites every file of the folder does not reach what the database holds."""
    digest = Release.objects.get().digest
    manifest = json.loads((released / files.MANIFEST).read_text()) | {"limits": "None."}
    described = files.write_text(released, files.MANIFEST, files.canonical(manifest))
    (released / files.SUMS).write_text(f"{described.sha256}  {files.MANIFEST}\n")
    assert verify(released) == [
        f"manifest.json is not that of the release v1 as it was made here, whose digest is {digest}."
    ]


@uncommitted
def test_pairs_that_came_later_do_not_disturb(released, make_pair, say, alice, bob):
    say(alice, make_pair(slots=0, tags=["all"]), "first")
    make_pair(slots=0, tags=["all"], label="second")
    assert verify(released) == []


@uncommitted
def test_without_its_project_no_row_can_be_derived(released):
    Project.objects.filter(slug="everyday").update(slug="renamed")
    assert verify(released) == ["The project everyday is not here, so no row can be derived again."]


# ---- every step, in every layout -----------------------------------------------------------------------------------


def as_told_before(told: dict[str, Any]) -> None:
    """A manifest from before a limit could be set and before cuts could name their model."""
    del told["harmful"]["by"]
    for cut in told["cuts"].values():
        del cut["name"], cut["model"]


@uncommitted
@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_every_step_is_derived_again_in_every_layout(project, varied, layout, tmp_path):
    """Quota, near duplicates, split, cuts and harm, all in one release; then each count of its manifest is forged."""
    options: dict[str, Any] = {
        "quotas": {"code": 5},
        "near_duplicates": 0.9,
        "test_share": 0.4,
        "sign_off": "Known.",
    }
    if not LAYOUTS[layout].by_prompt:
        options["cuts"] = [0.25, 0.5]
    # What is drawn hangs on the numbers of prompts and pairs, which differ between runs of the tests. About every
    # second seed leaves pairs on both sides of every config; of so many, one does.

    def parts(seed: int) -> bool:
        asked = plan(project=project, version="v1", layout=layout, seed=seed, **options)
        return all(map(len, choose(asked, using=connections["default"]).splits.values()))

    seed = next(filter(parts, range(1000)))
    folder = tmp_path / "v1"
    manifest = release(project=project, version="v1", layout=layout, out=folder, seed=seed, **options).release.manifest
    removed = {step["name"]: step["removed"] for step in manifest["steps"]}
    assert (removed["near duplicate"], removed["over the quota of code"]) == (1, 3)
    assert manifest["harmful"]["pairs"] == 1
    assert min(manifest["splits"][f"{layout}/{split}"] for split in ("train", "test")) > 0
    assert len(manifest["cuts"]) == len(options.get("cuts", ()))
    assert verify(folder) == []
    changes = {
        "flagged as harmful, and": lambda told: told["harmful"].update(pairs=0),
        "and it names no reason": lambda told: told["harmful"].update(sign_off=""),
        "The steps of the manifest": lambda told: told["steps"][-1].update(removed=0),
    }
    if manifest["cuts"]:
        changes["The cuts by difficulty"] = lambda told: next(iter(told["cuts"].values())).update(hardest=99.0)
    changes["nothing"] = as_told_before
    for says, change in changes.items():
        forged = json.loads((folder / files.MANIFEST).read_text())
        change(forged)
        sound = (folder / files.MANIFEST).read_text(), (folder / files.SUMS).read_text()
        described = files.write_text(folder, files.MANIFEST, files.canonical(forged))
        (folder / files.SUMS).write_text(f"{described.sha256}  {files.MANIFEST}\n")
        Release.objects.update(digest=files.digest_of(forged))
        assert [says in one for one in verify(folder)] == ([] if says == "nothing" else [True])
        (folder / files.MANIFEST).write_text(sound[0])
        (folder / files.SUMS).write_text(sound[1])


@uncommitted
def test_harm_that_is_flagged_later_or_taken_back_is_told_apart(released, say, alice, bob, robot):
    """What a voice that does not count flags later changes nothing; that a flag is gone is said."""
    from annotation.models import Judgement, Pair

    say(robot, Pair.objects.order_by("pk").first(), "second", flags=["harmful"])
    assert verify(released) == []
    manifest = json.loads((released / files.MANIFEST).read_text())
    assert manifest["harmful"]["through"] == 0
    assert not Judgement.objects.filter(annotator=robot, pk__lte=manifest["judgements"]["through"]).exists()


@uncommitted
@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"format": "plumbline-release/1", "code_version": "0.3"},
            "plumbline-release/1.*by the code 0.3",
        ),
        ({"format": "plumbline-release/99"}, "of the format plumbline-release/99, and this version reads"),
    ],
)
def test_a_release_of_another_format_is_told_in_a_sentence(released, changes, says):
    from annotation.errors import Refused
    from curation.diffing import diff
    from curation.pushing import push

    manifest = json.loads((released / files.MANIFEST).read_text()) | changes
    for key in ("ties", "least_probability", "harmful"):
        del manifest[key]
    (released / files.MANIFEST).write_text(files.canonical(manifest))
    (problem,) = verify(released)
    assert re.search(says, problem)
    with pytest.raises(Refused, match=says):
        diff(released, released)
    with pytest.raises(Refused, match=says):
        push(folder=released, repo="a/b", command="test")
    with pytest.raises(Refused, match=says):
        release(project=Project.objects.get(), version="v1", out=released)


@uncommitted
def test_a_manifest_that_lacks_what_it_must_say_is_told_in_a_sentence(released):
    manifest = json.loads((released / files.MANIFEST).read_text())
    del manifest["quotas"], manifest["seed"]
    (released / files.MANIFEST).write_text(files.canonical(manifest))
    assert any("does not say seed, quotas" in problem for problem in verify(released))
