"""Releases read on a connection of their own: these tests commit what they write."""

from __future__ import annotations

import errno
import json
import uuid
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from django.db import transaction

from annotation.errors import Refused
from annotation.models import Event, Guideline, Pair, Run
from annotation.running import Hold
from curation import reading, releasing
from curation.criteria import parse_all
from curation.export import files
from curation.models import Release, Selection
from curation.releasing import release
from tests.curation.folders import bytes_of, read

# What a test commits takes a second to clear away: only tests of the snapshot itself do.
committed = pytest.mark.django_db(transaction=True)
uncommitted = pytest.mark.usefixtures("same_connection")


ROOT = Path(__file__).resolve().parents[2]


@uncommitted
def test_what_a_majority_prefers_is_chosen_and_everything_else_is_dropped_with_its_reason(
    project, pairs, tmp_path, lead
):
    done = release(project=project, version="v1", out=tmp_path / "out", actor=lead.user)
    rows = {row["external_id"]: row for row in read(tmp_path / "out")}
    assert {*rows} == {"unanimous", "two of three"}
    assert rows["unanimous"]["chosen"] == pairs["unanimous"].first.messages
    assert rows["unanimous"]["rejected"] == pairs["unanimous"].second.messages
    assert rows["unanimous"]["prompt"] == pairs["unanimous"].prompt.messages
    assert rows["two of three"]["chosen"] == pairs["two of three"].second.messages
    assert rows["two of three"]["agreement"] == pytest.approx(1 / 3)
    # Second by 2 and 2, first by 2: 2/3 for the chosen second.
    assert rows["two of three"]["strength_mean"] == pytest.approx(2 / 3)
    assert (rows["two of three"]["n_first"], rows["two of three"]["n_second"]) == (1, 2)
    assert {step["name"]: step["removed"] for step in done.release.manifest["steps"]} == {
        "excluded=no": 1,
        "marked empty": 1,
        "marked identical": 1,
        "no judgement": 2,
        "tie": 1,
        "both bad": 1,
        "no majority": 2,
    }
    assert done.is_new
    assert (done.release.rows, done.release.folder, done.release.released_by) == (2, str(tmp_path / "out"), lead.user)
    run = Run.objects.get()
    assert (run.kind, run.state) == (Run.Kind.RELEASE, Run.State.DONE)
    assert run.result["digest"] == done.release.digest
    assert Event.objects.filter(act="release", actor=lead.user.email).count() == 1


@uncommitted
def test_the_rows_stand_in_the_order_of_the_pairs_numbers(project, make_pair, say, alice, tmp_path):
    ranks = [5, 3, 9, 1]
    for rank in ranks:
        say(alice, make_pair(slots=0, rank=rank, external_id=str(rank)), "first")
    release(project=project, version="v1", out=tmp_path / "out")
    assert [row["external_id"] for row in read(tmp_path / "out")] == ["5", "3", "9", "1"]


@uncommitted
def test_criteria_are_counted_in_their_order_and_saved_as_a_selection(project, pairs, tmp_path, lead):
    where = parse_all(["tag=all", "agreement>=0.66"])
    done = release(project=project, version="v1", where=where, out=tmp_path / "out", actor=lead.user)
    assert [row["external_id"] for row in read(tmp_path / "out")] == ["unanimous"]
    assert [step["name"] for step in done.release.manifest["steps"]][:3] == [
        "excluded=no",
        "tag=all",
        "agreement>=0.66",
    ]
    assert done.release.manifest["criteria"] == ["tag=all", "agreement>=0.66"]
    selection = Selection.objects.get()
    assert (done.release.selection, selection.owner, selection.version) == (selection, lead.user, 1)
    assert selection.criteria == [one.as_json() for one in where]


@uncommitted
def test_the_label_of_the_source_can_decide_instead(project, make_pair, tmp_path):
    for label in ("first", "second", "tie", ""):
        make_pair(slots=0, external_id=label or "none", label=label)
    done = release(project=project, version="v1", rule="label", out=tmp_path / "out")
    assert {row["external_id"]: row["chosen_side"] for row in read(tmp_path / "out")} == {
        "first": "first",
        "second": "second",
    }
    assert {step["name"]: step["removed"] for step in done.release.manifest["steps"]}["no label"] == 1
    assert "Nobody judged these pairs here." in (tmp_path / "out" / "README.md").read_text()


@uncommitted
def test_judges_count_only_when_they_are_asked_for(project, make_pair, say, alice, robot, tmp_path):
    pair = make_pair(slots=0)
    say(alice, pair, "first")
    say(robot, pair, "second")
    for annotators, side in (("people", "first"), ("judges", "second")):
        release(project=project, version=annotators, annotators=annotators, out=tmp_path / annotators)
        assert [row["chosen_side"] for row in read(tmp_path / annotators)] == [side]
    done = release(project=project, version="all", annotators="all", out=tmp_path / "all")
    assert done.release.rows == 0
    assert read(tmp_path / "all") == []


@uncommitted
def test_the_card_prints_the_guidelines_that_were_judged_under(project, make_pair, tmp_path, say, alice, bob):
    from curation.export.files import digest_of

    old, newer, newest = (
        Guideline.objects.create(project=project, version=version, text=f"Rules of {version}.", html="")
        for version in (101, 102, 103)
    )
    pair, left_out = make_pair(slots=0), make_pair(slots=0)
    say(alice, pair, "first", guideline=old)
    say(bob, pair, "first", guideline=old)
    say(alice, left_out, "tie", guideline=newer)
    project.guideline = newest
    project.save()
    manifest = release(project=project, version="v1", out=tmp_path / "v1").release.manifest
    told = manifest["guideline"]
    assert (told["version"], told["judged_under"]) == (103, {"101": 2})
    assert told["judged_under_sha256"] == {"101": digest_of("Rules of 101.")}
    card = (tmp_path / "v1" / "README.md").read_text()
    assert (
        "Version 101, under which 2 judgements of the released pairs were made:\n\n```markdown\nRules of 101." in card
    )
    assert "Version 103, in force at the release; none of these judgements was made under it" in card
    assert "Rules of 103." in card
    assert "Rules of 102." not in card, "Of the pairs that are released nobody judged under it."


@uncommitted
def test_the_card_and_manifest_tell_who_judged_and_under_which_guideline(project, pairs, tmp_path, say, bob):
    project.guideline = Guideline.objects.create(project=project, version=3, text="# Be kind", html="", created_by=None)
    project.save()
    bob.is_simulated = True
    bob.save()
    say(bob, pairs["unanimous"], "first", 3, guideline=project.guideline)
    done = release(project=project, version="v1", out=tmp_path / "out", licence="cc-by-4.0", limits="English only.")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest == done.release.manifest
    assert manifest["annotators"] == {
        "people": 3,
        "judges": 0,
        "simulated": 1,
        "judgements": 6,
        "judgements_each": {"least": 2, "median": 2.0, "most": 2},
    }
    assert manifest["guideline"]["version"] == 3
    assert manifest["guideline"]["judged_under"] == {"3": 1, "none": 5}
    card = (tmp_path / "out" / "README.md").read_text()
    assert "1 of 3 annotators are simulated" in card
    assert "# Be kind" in card
    assert "Bob" not in card
    assert "Bob" not in json.dumps(manifest)


@uncommitted
def test_every_file_is_named_with_its_digest(project, pairs, tmp_path):
    release(project=project, version="v1", out=tmp_path / "out")
    assert files.wrong_files(tmp_path / "out") == []
    assert {*bytes_of(tmp_path / "out")} == {
        "README.md",
        "manifest.json",
        "SHA256SUMS",
        # Which of the pairs is out of play.
        "facts.parquet",
        "trl_dpo/train-00000-of-00001.parquet",
    }


@uncommitted
def test_annotators_have_pseudonyms_that_are_the_same_in_one_release_and_in_no_other(project, pairs, tmp_path):
    def told(version, **changes):
        out = tmp_path / version
        release(project=project, version=version, layout="votes", rule="votes", out=out, **changes)
        rows = pq.read_table(out / "votes").to_pylist()
        return [row["annotator"] for row in rows], b"".join(bytes_of(out).values())

    one, other = told("v1"), told("v2")
    assert len({*one[0]}) == len({*other[0]}) == 3
    assert not {*one[0]} & {*other[0]}
    # The same people at the same places.
    assert len({*zip(one[0], other[0], strict=True)}) == 3
    for version, (_, everything) in (("v1", one), ("v2", other)):
        for secret in (b"Alice", b"Bob", b"@example.org", Release.objects.get(version=version).salt.encode()):
            assert secret not in everything
    again = release(project=project, version="v1", layout="votes", rule="votes", out=tmp_path / "again")
    assert not again.is_new
    assert bytes_of(tmp_path / "again") == bytes_of(tmp_path / "v1")


@uncommitted
def test_two_processes_that_make_a_release_at_once_draw_one_salt(project, pairs, tmp_path, monkeypatch):
    """The other process draws and writes its salt exactly between this one's look and its own writing."""
    from curation.models import Salt
    from curation.models import releases as models

    drawn: list[str] = []

    def draw():
        if not drawn:
            drawn.append("ab" * 32)
            Salt.objects.create(project=project, version="v1", salt=drawn[0])
        return "cd" * 32

    monkeypatch.setattr(Salt._meta.get_field("salt"), "_get_default", draw)
    done = release(project=project, version="v1", rule="votes", layout="votes", out=tmp_path / "v1")
    assert drawn == [done.release.salt]
    assert Salt.objects.get().salt == done.release.salt
    again = release(project=project, version="v1", rule="votes", layout="votes", out=tmp_path / "again")
    assert not again.is_new
    assert models.new_salt() != models.new_salt()


@uncommitted
def test_a_release_that_failed_keeps_its_salt_for_the_next_try(project, pairs, tmp_path, monkeypatch):
    from curation.models import Salt

    (tmp_path / "out").mkdir()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(files, "put_in_place", full)
        with pytest.raises(Refused, match="is full"):
            release(project=project, version="v1", out=tmp_path / "out")
    assert release(project=project, version="v1", out=tmp_path / "out").release.salt == Salt.objects.get().salt


@uncommitted
def test_names_are_told_only_when_they_are_asked_for_and_that_is_on_record(project, pairs, tmp_path, lead):
    done = release(
        project=project, version="v1", layout="votes", rule="votes", names=True, out=tmp_path / "v1", actor=lead.user
    )
    assert {row["annotator"] for row in pq.read_table(tmp_path / "v1" / "votes").to_pylist()} == {"Alice", "Bob", "Ada"}
    assert done.release.manifest["names"] is True
    assert (Event.objects.get(act="release").after or {})["names"] is True
    assert "told by their names" in (tmp_path / "v1" / "README.md").read_text()


@uncommitted
def test_the_split_test_has_whole_prompts_and_they_stay_there(project, make_pair, say, alice, tmp_path):
    made = [make_pair(slots=0, prompt=f"Question {n // 2}?") for n in range(80)]
    for pair in made:
        say(alice, pair, "first")
    done = release(project=project, version="v1", test_share=0.3, out=tmp_path / "v1")
    sides = {
        split: {
            row["pair_id"] for path in (tmp_path / "v1").rglob(f"{split}-*") for row in pq.read_table(path).to_pylist()
        }
        for split in ("train", "test")
    }
    prompts = {
        split: {*Pair.objects.filter(pk__in=pairs).values_list("prompt", flat=True)} for split, pairs in sides.items()
    }
    assert not prompts["train"] & prompts["test"]
    assert sides["train"] | sides["test"] == {pair.pk for pair in made}
    assert 2 <= len(prompts["test"]) <= 24
    assert done.release.manifest["splits"] == {f"trl_dpo/{split}": len(pairs) for split, pairs in sides.items()}
    # With fewer pairs every prompt stays on its side; with another seed it need not.
    few = release(
        project=project, version="v2", test_share=0.3, where=parse_all([f"pair>{made[20].pk}"]), out=tmp_path / "v2"
    )
    rows = {row["pair_id"] for path in (tmp_path / "v2").rglob("test-*") for row in pq.read_table(path).to_pylist()}
    assert rows == {pair for pair in sides["test"] if pair > made[20].pk}
    assert few.release.manifest["test_share"] == 0.3
    other = release(project=project, version="v3", test_share=0.3, seed=1, out=tmp_path / "v3")
    assert other.release.manifest["files"] != done.release.manifest["files"]


# ---- refused -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"version": "../up"}, "cannot name a release"),
        ({"version": ""}, "cannot name a release"),
        ({"rule": "coin"}, "Unknown rule 'coin'. Known are majority, dawid_skene, label, strength"),
        ({"layout": "csv"}, "Unknown layout 'csv'. Known are trl_dpo, trl_reward"),
        ({"subset": -1}, "at least 1 pair, not -1"),
        ({"rule": "soft"}, "The layout trl_dpo has a chosen answer, and the rule soft chooses none"),
        ({"test_share": 0.6}, "The share of the split test is 0 to 0.5"),
        ({"near_duplicates": 2}, "a similarity of 0 to 1"),
        ({"cuts": [1.0]}, "a share of the pairs of more than 0 and less than 1"),
        ({"cuts": [0.5], "layout": "listwise", "rule": "soft"}, "cannot be cut by difficulty"),
        ({"quotas": {"code": -1}}, "at least 0 pairs"),
        ({"quotas": {"a\0b": 1}}, "No tag can be called"),
        ({"quotas": {"half \ud800": 1}}, "No tag can be called"),
        ({"annotators": "robots"}, "Unknown annotators 'robots'. Known are people, judges, all."),
        ({"licence": "mine, all mine"}, "is no licence identifier"),
    ],
)
@uncommitted
def test_what_is_not_known_is_refused_with_what_is(project, tmp_path, changes, says):
    with pytest.raises(Refused, match=says):
        release(**{"project": project, "version": "v1", "out": tmp_path / "out", **changes})
    assert not (tmp_path / "out").exists()
    assert not Run.objects.exists()


@uncommitted
def test_the_same_version_with_other_content_is_refused_and_says_what_differs(project, pairs, tmp_path, say, alice):
    first = release(project=project, version="v1", out=tmp_path / "out")
    before = bytes_of(tmp_path / "out")
    with pytest.raises(Refused, match="the criteria differ"):
        release(project=project, version="v1", where=parse_all(["tag=all"]), out=tmp_path / "out")
    say(alice, pairs["unanimous"], "second")
    with pytest.raises(Refused, match="judgements have come or changed since"):
        release(project=project, version="v1", out=tmp_path / "out")
    assert bytes_of(tmp_path / "out") == before
    assert Release.objects.get() == first.release
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert [*Run.objects.order_by("pk").values_list("state", flat=True)] == ["done", "failed", "failed"]


@uncommitted
def test_a_folder_of_somebody_else_is_refused_before_anything_is_read(project, pairs, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(Refused, match="not overwritten"):
        release(project=project, version="v1", out=tmp_path)
    release(project=project, version="v1", out=tmp_path / "out")
    with pytest.raises(Refused, match="final"):
        release(project=project, version="v2", out=tmp_path / "out")
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize(
    ("part", "messages", "says"),
    [
        ("prompt", [{"role": "system", "content": "x"}], "ends with the role 'system'"),
        ("prompt", "What?", "is not a list of messages"),
        ("first", [{"role": "assistant", "content": " "}], "the first answer is empty"),
        ("second", [{"role": "user", "content": "x"}], "begins with the role 'user'"),
        ("second", None, "chosen and rejected are the same"),
    ],
)
@uncommitted
def test_a_row_that_would_mislead_a_trainer_stops_the_release_and_is_named(
    project, pairs, tmp_path, part, messages, says
):
    pair = pairs["unanimous"]
    row = getattr(pair, part)
    row.messages = pair.first.messages if messages is None else messages
    row.save()
    with pytest.raises(Refused, match=says) as caught:
        release(project=project, version="v1", out=tmp_path / "out")
    assert f"Pair {pair.pk}: " in str(caught.value)
    assert not Release.objects.exists()
    assert [*tmp_path.iterdir()] == []
    assert Run.objects.get().error == str(caught.value)
    # As the sentence says: without it the release goes through.
    release(project=project, version="v1", out=tmp_path / "out", where=parse_all([f"pair!={pair.pk}"]))
    assert [row["external_id"] for row in read(tmp_path / "out")] == ["two of three"]


@uncommitted
def test_a_full_disk_leaves_what_was_there_and_releases_nothing(project, pairs, tmp_path, monkeypatch):
    release(project=project, version="v1", out=tmp_path / "out")
    before = bytes_of(tmp_path / "out")

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files, "write_shards", full)
    with pytest.raises(Refused, match="is full"):
        release(project=project, version="v1", out=tmp_path / "out")
    with pytest.raises(Refused, match="is full"):
        release(project=project, version="v2", out=tmp_path / "other")
    assert bytes_of(tmp_path / "out") == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert Release.objects.count() == 1


@uncommitted
def test_a_folder_that_cannot_take_its_name_takes_the_row_back(project, pairs, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(files, "put_in_place", fail)
    with pytest.raises(Refused, match="cannot be written: Permission denied"):
        release(project=project, version="v1", out=tmp_path / "out")
    assert not Release.objects.exists()
    assert not Event.objects.filter(act="release").exists()
    assert [*tmp_path.iterdir()] == []


@uncommitted
def test_a_cancelled_release_stops_at_its_next_heartbeat(project, pairs, tmp_path, monkeypatch):
    monkeypatch.setattr(releasing, "BEAT_EVERY", 0.0)

    def cancel(done, total):
        Run.objects.update(cancel_requested=True)

    with pytest.raises(Refused, match="was cancelled"):
        release(project=project, version="v1", out=tmp_path / "out", progress=cancel)
    assert Run.objects.get().state == Run.State.CANCELLED
    assert [*tmp_path.iterdir()] == []


@committed
def test_an_error_on_the_way_leaves_no_folder_no_thread_and_a_failed_run(
    project, make_pair, say, alice, tmp_path, monkeypatch
):
    import threading

    monkeypatch.setattr(files, "GROUP_ROWS", 2)
    for _ in range(9):
        say(alice, make_pair(slots=0), "first")

    def stumble(done, total):
        if done >= 4:
            raise ValueError("stumbled")

    with pytest.raises(ValueError, match="stumbled") as caught:
        release(project=project, version="v1", out=tmp_path / "out", progress=stumble)
    # The traceback is still held here, and yet nobody reads or writes any more.
    assert caught.value.__traceback__ is not None
    assert [one.name for one in threading.enumerate() if one.name.startswith(("release", "parquet"))] == []
    assert [*tmp_path.iterdir()] == []
    assert (Run.objects.get().state, Run.objects.get().error) == (
        Run.State.FAILED,
        "An unexpected error stopped the run: ValueError.",
    )


# ---- by a worker ---------------------------------------------------------------------------------------------------


@uncommitted
def test_a_worker_does_the_same_from_the_parameters_of_the_run(project, pairs, lead, settings, tmp_path):
    from annotation.running import claim, request_run

    criteria = [one.as_json() for one in parse_all(["tag=all"])]
    parameters = {"release": "v1", "where": criteria, "rule": "majority", "layout": "trl_dpo", "annotators": "people"}
    with transaction.atomic():
        run = request_run(project=project, kind=Run.Kind.RELEASE, parameters=parameters, actor=lead.user)
        hold = claim(run_id=run.pk, worker="w")
    assert hold is not None
    result = releasing.execute(hold)
    made = Release.objects.get()
    assert result == {"release": made.pk, "digest": made.digest, "rows": 2, "is_new": True}
    assert (made.folder, made.released_by) == (str(settings.RELEASES / "everyday" / "v1"), lead.user)
    # The worker died before it could say so, and another does it again.
    assert releasing.execute(hold)["is_new"] is False
    release(project=project, version="v1", where=parse_all(["tag=all"]), out=tmp_path / "again")
    assert bytes_of(tmp_path / "again") == bytes_of(settings.RELEASES / "everyday" / "v1")


@uncommitted
def test_a_run_that_does_not_say_what_to_release_is_refused(project):
    run = Run.objects.create(project=project, kind="release", code_version="1", parameters={})
    with pytest.raises(Refused, match="does not say what to release"):
        releasing.execute(Hold(run=run, token=uuid.uuid4()))


@committed
def test_the_snapshot_can_change_nothing(project):
    from django.db import InternalError

    with reading.snapshot() as reader, reader.cursor() as cursor, pytest.raises(InternalError, match="read-only"):
        cursor.execute("DELETE FROM pair")
    assert Pair.objects.count() == 0
