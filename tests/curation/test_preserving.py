"""What criteria read of facts stays with the release, whatever the facts say later."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from django.db import connection

from annotation.errors import Refused
from annotation.models import Pair, Run
from curation import gathering, preserving
from curation.arrays import pair_facts
from curation.criteria import FIELDS, OPERATORS, in_play, parse, parse_all
from curation.diffing import diff
from curation.export import files
from curation.export.layouts import LAYOUTS
from curation.models import PairFact, Release
from curation.preserving import FILE, columns_of, passing, preserve, preserved
from curation.releasing import release
from curation.verifying import plan_of, verify
from curation.voices import Voices
from tests.curation.folders import bytes_of

pytestmark = pytest.mark.usefixtures("same_connection")
# As a lead selects by brushing.
BRUSHED = ["difficulty>=0.3", "known_difficulty=yes", "discretion|=consensus|unknown", "gold=no"]


@pytest.fixture
def released(project: Any, many: list[Any], tmp_path: Any) -> Any:
    """A release by facts, of which some pairs are in it and others are not."""
    done = release(project=project, version="v1", where=parse_all(BRUSHED), out=tmp_path / "v1").release
    assert 0 < done.rows < 20
    return tmp_path / "v1"


def change_everything(project: Any, many: list[Any]) -> None:
    """A new measurement, gold, and whatever else facts may say tomorrow."""
    Pair.objects.filter(pk__in=[one.pk for one in many[:20]]).update(is_gold=True)
    PairFact.objects.update(loss=None, difficulty=None, discretion="", n_relevant=None, favour_first=[], annotators=[])


def test_a_release_by_facts_is_derived_again_when_they_say_something_else(project, many, released):
    assert verify(released) == []
    change_everything(project, many)
    assert verify(released) == []


def test_the_file_says_what_the_criteria_went_by_and_the_card_names_it(project, many, released):
    table = pq.read_table(released / FILE)
    assert table.column_names == ["pair", "difficulty", "discretion", "gold", "known_difficulty"]
    told = {one.pop("pair"): one for one in table.to_pylist()}
    assert sorted(told) == [one.pk for one in many], "Every pair is there, also those that were left out."
    for fact in PairFact.objects.select_related("pair"):
        assert told[fact.pair_id] == {
            "difficulty": fact.difficulty,
            "discretion": fact.discretion or "unknown",
            "gold": False,
            "known_difficulty": fact.difficulty is not None,
        }
    manifest = Release.objects.get().manifest
    run = Run.objects.get(kind="measurement")
    fields = ["difficulty", "discretion", "gold", "known_difficulty"]
    measured = {"model": "tiny", "run": run.pk, "metric": "held_out_loss"}
    assert manifest["facts"] == {"fields": fields, "measures": {"difficulty": measured}}
    assert [one["rows"] for one in manifest["files"] if one["path"] == FILE] == [40]
    assert f"{FILE}\n" in (released / files.SUMS).read_text()
    card = (released / "README.md").read_text()
    assert "`facts.parquet` holds what `difficulty`, `discretion`, `gold`, `known_difficulty` said" in card
    assert f"Difficulty is for tiny (`held_out_loss`, run {run.pk})." in card


def test_it_is_the_same_bytes_when_facts_are_gathered_again(project, many, released, tmp_path):
    gathering.gather_facts(project=project)
    done = release(project=project, version="v1", where=parse_all(BRUSHED), out=tmp_path / "again")
    assert not done.is_new
    assert bytes_of(tmp_path / "again") == bytes_of(released)
    change_everything(project, many)
    with pytest.raises(Refused, match="v1 was released already"):
        release(project=project, version="v1", where=parse_all(BRUSHED), out=tmp_path / "other")


def test_whose_judgements_they_were_is_not_told(project, many, crowd, tmp_path):
    """An annotator's number is the same in every release: only whether the one that is asked for judged is there."""
    who = crowd[1].pk
    where = parse_all([f"annotator={who}", f"annotator!={crowd[2].pk}"])
    release(project=project, version="v1", where=where, out=tmp_path / "v1")
    table = pq.read_table(tmp_path / "v1" / FILE)
    assert table.schema.names == ["pair", f"annotator!={crowd[2].pk}", f"annotator={who}"]
    assert {str(one) for one in table.schema.types[1:]} == {"bool"}
    judged = PairFact.objects.filter(annotators__contains=[who]).values_list("pair", flat=True)
    assert {one["pair"] for one in table.to_pylist() if one[f"annotator={who}"]} == {*judged}
    PairFact.objects.update(annotators=[])
    assert verify(tmp_path / "v1") == []


@pytest.mark.parametrize("layout", [name for name, one in LAYOUTS.items() if one.tells_annotators])
@pytest.mark.parametrize("criterion", ["annotator={}", "annotator!={}"])
def test_a_pseudonym_is_not_given_away_by_the_criterion(project, many, crowd, tmp_path, layout, criterion):
    """Who is in every row of a release of what number 3 judged is number 3, in each such release."""
    where = parse_all([criterion.format(crowd[1].pk)])
    with pytest.raises(Refused, match=f"The layout {layout} tells annotators by pseudonyms"):
        release(project=project, version="v1", where=where, layout=layout, rule="votes", out=tmp_path / "v1")
    assert not Release.objects.exists()
    assert not (tmp_path / "v1").exists()


def test_with_names_there_is_no_pseudonym_to_give_away(project, many, crowd, tmp_path):
    where = parse_all([f"annotator={crowd[1].pk}"])
    options = {"where": where, "layout": "votes", "rule": "votes", "out": tmp_path / "v1"}
    assert release(project=project, version="v1", names=True, **options).release.rows > 0
    assert verify(tmp_path / "v1") == []


def test_the_layouts_that_tell_annotators_are_these():
    assert {name for name, one in LAYOUTS.items() if one.tells_annotators} == {"votes", "token_weights"}
    assert all(one.tells for one in LAYOUTS.values() if one.tells_annotators), "Whoever is told needs a pseudonym."


def test_without_criteria_that_fade_there_is_no_such_file(project, many, tmp_path):
    made = release(project=project, version="v1", where=parse_all(["judgements>=2"]), out=tmp_path / "v1").release
    assert made.manifest["facts"] is None
    assert not (tmp_path / "v1" / FILE).exists()


def test_a_file_that_is_gone_or_was_changed_is_named(released):
    sound = (released / FILE).read_bytes()
    (released / FILE).write_bytes(b"no parquet")
    assert verify(released) == [
        f"{FILE} was changed after the release.",
        f"{FILE} cannot be read. Without the facts that the criteria went by, no row can be derived again.",
    ]
    (released / FILE).unlink()
    assert verify(released)[0] == f"{FILE} is missing."
    (released / FILE).write_bytes(sound)
    table = pq.read_table(released / FILE)
    pq.write_table(table.slice(0, 3), released / FILE)
    assert any("is in the release and should not be" in one for one in verify(released))


def test_two_releases_are_told_apart_by_what_facts_said_of_each(project, many, released, tmp_path):
    every = tmp_path / "all"
    release(project=project, version="all", out=every)
    change_everything(project, many)
    found = diff(every, released)
    assert found.went
    assert not found.came
    table = {one.pop("pair"): one for one in pq.read_table(released / FILE).to_pylist()}
    for pair, why in found.went.items():
        told = table[pair]
        if told["difficulty"] is None or told["difficulty"] < 0.3:
            assert why == "difficulty>=0.3"
        else:
            assert why == "discretion|=consensus|unknown"


def test_a_pair_that_came_between_two_releases_is_said_to(project, many, released, make_pair, say, alice, tmp_path):
    late = make_pair(slots=0)
    say(alice, late, "first")
    release(project=project, version="v2", out=tmp_path / "v2")
    assert diff(released, tmp_path / "v2").came[late.pk] == "not in the project yet"


def test_what_is_preserved_answers_every_criterion_as_the_database_does(project, many, tmp_path, monkeypatch):
    """Each fading field with every operator and several values, in pieces of a few pairs."""
    monkeypatch.setattr(preserving, "PIECE", 7)
    annotator = PairFact.objects.exclude(annotators=[])[0].annotators[0]
    parted = PairFact.objects.exclude(favour_first=[]).exclude(favour_second=[])[0]
    conflict = "-".join(map(str, sorted((parted.favour_first[0], parted.favour_second[0]))))
    values = {"number": ["0", "0.5", "2"], "text": ["", "a"], "flag": ["yes", "no"]}
    values["list"] = [str(annotator), conflict, "0"]
    asked = [
        parse(f"{name}{operator}{value}")
        for name, field in FIELDS.items()
        if field.fades
        for operator in OPERATORS[field.kind]
        for value in (field.choices or values[field.kind])
    ]
    facts = pair_facts(project=project, voices=Voices(), where=asked)
    preserve(asked, pairs=facts.pair, folder=tmp_path, using=connection)
    table = preserved(tmp_path, asked)
    assert 0 < facts.passes.sum() < facts.passes.size
    for one, expected in zip(asked, facts.passes, strict=True):
        assert (passing(table, one, pairs=facts.pair, using=connection) == expected).all(), one.text
    # A pair of which nothing was preserved did not pass.
    more = np.append(facts.pair, facts.pair[-1] + 1)
    assert not passing(table, parse("gold!=yes"), pairs=more, using=connection)[-1]


@pytest.mark.parametrize(("where", "rows"), [([], 2), (["excluded=yes"], 1), (["pair>0", "excluded=no"], 2)])
def test_a_pair_that_is_taken_out_of_play_later_or_put_back_disturbs_nothing(project, pairs, where, rows, tmp_path):
    made = release(project=project, version="v1", where=parse_all(where), out=tmp_path / "v1").release
    assert (made.manifest["out_of_play"], made.manifest["chosen"]) == (1, rows)
    assert made.manifest["facts"] == {"fields": ["excluded"], "measures": {}}
    assert verify(tmp_path / "v1") == []
    Pair.objects.filter(pk=pairs["excluded"].pk).update(excluded_at=None)
    Pair.objects.filter(pk=pairs["unanimous"].pk).update(excluded_at=pairs["unanimous"].created_at)
    assert verify(tmp_path / "v1") == []
    # It is not what would be released now.
    with pytest.raises(Refused, match="v1 was released already"):
        release(project=project, version="v1", where=parse_all(where), out=tmp_path / "again")


@pytest.mark.parametrize(("where", "rows"), [([], 1), (["excluded=yes"], 0)])
def test_where_nothing_is_out_of_play_its_number_says_so_and_no_file_is_needed(
    project, make_pair, say, alice, where, rows, tmp_path
):
    pair = make_pair(slots=0)
    say(alice, pair, "first")
    made = release(project=project, version="v1", where=parse_all(where), out=tmp_path / "v1").release
    assert (made.manifest["out_of_play"], made.manifest["facts"], made.rows) == (0, None, rows)
    assert not (tmp_path / "v1" / FILE).exists()
    Pair.objects.update(excluded_at=pair.created_at)
    assert verify(tmp_path / "v1") == []


def test_a_release_from_before_it_said_what_was_out_of_play_goes_by_what_is(project, pairs, tmp_path):
    release(project=project, version="v1", where=parse_all(["gold=no"]), out=tmp_path / "v1")
    manifest = files.manifest_in(tmp_path / "v1")
    assert manifest is not None
    del manifest["out_of_play"]
    manifest["facts"]["fields"] = ["gold"]
    table = pq.read_table(tmp_path / "v1" / FILE).drop_columns(["excluded"])
    pq.write_table(table, tmp_path / "v1" / FILE)
    files.write_text(tmp_path / "v1", files.MANIFEST, files.canonical(manifest))
    asked = plan_of(manifest, project, tmp_path / "v1")
    assert asked.preserved is not None
    assert (asked.out_of_play, asked.preserved.column_names) == (None, ["pair", "gold"])
    told = verify(tmp_path / "v1")
    assert not [one for one in told if "Pair" in one or "Row" in one], told
    Pair.objects.filter(pk=pairs["unanimous"].pk).update(excluded_at=pairs["unanimous"].created_at)
    assert f"Pair {pairs['unanimous'].pk} is in the release and should not be." in verify(tmp_path / "v1")


def test_only_what_may_change_without_a_trace_fades():
    asked = in_play(parse_all(["agreement>=0.5", "tag=a", "id=x", "meta.k=1", "flag=harmful", "gold=no"]))
    assert [one.name for one in columns_of(asked)] == ["excluded", "gold"]
    assert {name for name, field in FIELDS.items() if field.help.startswith("facts:")} <= {
        name for name, field in FIELDS.items() if field.fades
    }
