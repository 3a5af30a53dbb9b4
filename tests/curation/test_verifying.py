from __future__ import annotations

import json

import pyarrow.parquet as pq
import pytest

from annotation.models import Project
from curation.export import files
from curation.releasing import release
from curation.selecting import parse_all
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
    """Rewrite the rows and everything that vouches for them, as a careful forger would."""
    manifest = json.loads((folder / files.MANIFEST).read_text())
    path = folder / manifest["files"][0]["path"]
    table = change(pq.read_table(path))
    pq.write_table(table, path)
    entries = [files.entry(folder, one["path"], rows=one.get("rows")) for one in manifest["files"]]
    manifest["files"] = [one.as_json() for one in entries]
    described = files.write_text(folder, files.MANIFEST, files.canonical(manifest))
    files.write_sums(folder, [*entries, described])


@uncommitted
def test_a_sound_release_has_nothing_wrong_with_it(released):
    assert verify(released) == []


@committed
def test_judgements_that_came_later_do_not_disturb(released, make_pair, say, bob, project):
    from annotation.models import Pair

    say(bob, Pair.objects.order_by("pk").first(), "second")
    assert verify(released) == []


@uncommitted
def test_a_judgement_that_was_revised_makes_it_underivable_and_says_so(released, say, alice):
    from annotation.models import Pair

    say(alice, Pair.objects.order_by("pk").first(), "second")
    assert ["revised or withdrawn since" in one for one in verify(released)] == [True]


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
def test_without_its_project_no_row_can_be_derived(released):
    Project.objects.filter(slug="everyday").update(slug="renamed")
    assert verify(released) == ["The project everyday is not here, so no row can be derived again."]
