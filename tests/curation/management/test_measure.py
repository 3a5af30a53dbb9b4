from __future__ import annotations

import json

import pytest
from django.core.management import CommandError, call_command


def measured(capsys, *arguments):
    call_command("measure", "agreement", "--json", *arguments)
    return json.loads(capsys.readouterr().out)


@pytest.fixture
def judged(make_pair, say, alice, bob):
    for place in range(4):
        pair = make_pair(slots=0, tags=["odd"] if place % 2 else [])
        say(alice, pair, "first" if place else "tie")
        say(bob, pair, "second" if place == 3 else "first" if place else "tie")


def test_it_prints_what_was_found_as_json(project, judged, capsys):
    found = measured(capsys, "--project", "everyday", "--least-common", "4", "--seed", "3")
    assert (found["project"], found["judgements"], found["pairs"], found["seed"]) == ("everyday", 8, 4, 3)
    assert found["metrics"]["percent_agreement"]["value"] == 0.75
    assert (found["metrics"]["percent_agreement"]["agreeing"], found["metrics"]["percent_agreement"]["total"]) == (3, 4)
    assert [(one["first"], one["second"], one["n"]) for one in found["cohen_kappa"]] == [("Alice", "Bob", 4)]


def test_options_narrow_what_is_measured(project, judged, capsys):
    assert measured(capsys, "--project", "everyday", "--where", "tag=odd")["pairs"] == 2
    assert measured(capsys, "--project", "everyday", "--annotator", "Al")["judgements"] == 4
    assert measured(capsys, "--project", "everyday", "--kind", "judge")["judgements"] == 0
    without = measured(capsys, "--project", "everyday", "--bootstrap", "0")["metrics"]["percent_agreement"]
    assert without["low"] is None


def test_it_prints_sentences_for_people(project, judged, capsys):
    call_command("measure", "agreement", "--project", "everyday")
    said = capsys.readouterr().out
    assert "8 judgements of 4 pairs by 2 annotators" in said
    assert "Percent agreement, ties kept: 0.7500" in said
    assert "3 of 4 agree" in said
    assert "Cohen's kappa, undefined for 1 pairs of annotators: Fewer than 30 common pairs." in said


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["agreement", "--project", "nowhere"], "There is no project 'nowhere'"),
        (["agreement", "--project", "everyday", "--where", "mood=good"], "Unknown field 'mood'"),
        (["agreement", "--project", "everyday", "--bootstrap", "-1"], "The bootstrap takes"),
        (["happiness", "--project", "everyday"], "invalid choice: 'happiness'"),
    ],
)
def test_what_it_does_not_know_is_refused_with_a_sentence(project, arguments, says):
    with pytest.raises(CommandError, match=says):
        call_command("measure", *arguments)


def imported(shared_data, tmp_path, source, slug, *options):
    """Import one source of the real data: its pairs, then its judgements."""
    files = {}
    for kind in ("pairs", "judgements"):
        files[kind] = tmp_path / f"{kind}.jsonl"
        with (shared_data / f"{kind}.jsonl").open() as rows, files[kind].open("w") as out:
            out.writelines(row for row in rows if json.loads(row)["source"] == source)
    call_command("import_pairs", files["pairs"], "--project", slug, "--create", "--allow", "empty,identical")
    call_command("import_judgements", files["judgements"], "--project", slug, *options)


def test_pandalm_from_its_files_to_its_published_figures(db, shared_data, tmp_path, capsys):
    imported(shared_data, tmp_path, "pandalm-test-v1", "pandalm")
    capsys.readouterr()
    found = measured(capsys, "--project", "pandalm")
    assert (found["pairs"], found["judgements"]) == (999, 2997)
    alpha = found["metrics"]["alpha_nominal"]
    assert alpha["value"] == pytest.approx(0.8642, abs=5e-5)
    assert alpha["low"] < alpha["value"] < alpha["high"]
    assert [round(one["value"], 4) for one in found["cohen_kappa"]] == [0.8520, 0.8789, 0.8617]


def test_mt_bench_from_its_files_to_its_published_figures(db, shared_data, tmp_path, capsys):
    imported(shared_data, tmp_path, "mt-bench-human", "mtbench", "--judge", "gpt4_pair")
    capsys.readouterr()
    for turn in ("meta.turn=1", "id$=-t1"):
        found = measured(capsys, "--project", "mtbench", "--annotator", "expert_", "--where", turn, "--bootstrap", "0")
        kept, dropped = (found["metrics"][f"percent_agreement{name}"] for name in ("", "_without_ties"))
        assert (kept["agreeing"], kept["total"]) == (211, 338)
        assert (dropped["agreeing"], dropped["total"]) == (178, 221)
