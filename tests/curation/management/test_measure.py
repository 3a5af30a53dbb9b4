from __future__ import annotations

import json
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from annotation.errors import Refused
from curation.measuring import MEASURES, parse_settings

DOCS = Path(__file__).resolve().parents[3] / "docs"


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
    assert measured(capsys, "--project", "everyday", "--annotators", "Al", "Bo")["judgements"] == 8
    both = measured(capsys, "--project", "everyday", "--set", "bootstrap=0", "least_common=4")
    assert (both["bootstrap"], both["least_common"]) == (0, 4)
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
        (["agreement", "--project", "everyday", "--seed", "99999999999999999999"], "A seed is a whole number from 0"),
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


@pytest.mark.usefixtures("few_texts_set")
def test_pandalm_from_its_files_to_its_published_figures(db, shared_data, tmp_path, capsys):
    imported(shared_data, tmp_path, "pandalm-test-v1", "pandalm")
    capsys.readouterr()
    found = measured(capsys, "--project", "pandalm")
    assert (found["pairs"], found["judgements"]) == (999, 2997)
    alpha = found["metrics"]["alpha_nominal"]
    assert alpha["value"] == pytest.approx(0.8642, abs=5e-5)
    assert alpha["low"] < alpha["value"] < alpha["high"]
    assert [round(one["value"], 4) for one in found["cohen_kappa"]] == [0.8520, 0.8789, 0.8617]


@pytest.mark.usefixtures("few_texts_set")
def test_mt_bench_from_its_files_to_its_published_figures(db, shared_data, tmp_path, capsys):
    imported(shared_data, tmp_path, "mt-bench-human", "mtbench", "--judge", "gpt4_pair")
    capsys.readouterr()
    for turn in ("meta.turn=1", "id$=-t1"):
        found = measured(capsys, "--project", "mtbench", "--annotator", "expert_", "--where", turn, "--bootstrap", "0")
        kept, dropped = (found["metrics"][f"percent_agreement{name}"] for name in ("", "_without_ties"))
        assert (kept["agreeing"], kept["total"]) == (211, 338)
        assert (dropped["agreeing"], dropped["total"]) == (178, 221)


# ---- settings: every one is documented, and none is taken that does not exist ---------------------------------------


def documented():
    """The rows of the table of settings, as (measure, key, default, help)."""
    text = (DOCS / "metrics.md").read_text(encoding="utf-8")
    table = text[text.index("| measure | setting | usual | what |") :].split("\n\n", 1)[0]
    return [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in table.splitlines()[2:]]


def test_every_setting_of_every_measure_is_documented_with_its_default():
    expected = [
        (name, f"`{key}`", str(field.default), field.metadata["help"])
        for name, one in MEASURES.items()
        for key, field in one.request.settings().items()
    ]
    assert documented() == expected


@pytest.mark.parametrize("name", MEASURES)
def test_a_setting_that_a_measure_does_not_have_is_refused_with_those_it_has(project, name):
    own = MEASURES[name].request.settings()
    with pytest.raises(CommandError, match="is not a setting of") as refusal:
        call_command("measure", name, "--project", "everyday", "--set", "mood=good")
    assert all(key in str(refusal.value) for key in own)
    # Nor is one of another measure.
    others = {key for one in MEASURES.values() for key in one.request.settings()} - set(own)
    for key in others:
        with pytest.raises(Refused, match="is not a setting of"):
            parse_settings(MEASURES[name].request, [f"{key}=1"])


@pytest.mark.parametrize("name", MEASURES)
def test_every_setting_is_read_as_its_kind_and_reaches_the_run(name):
    request = MEASURES[name].request
    for key, field in request.settings().items():
        assert parse_settings(request, [f"{key}={field.default}"]) == {key: field.default}
        if not isinstance(field.default, str):
            with pytest.raises(Refused, match=f"The setting {key} is a"):
                parse_settings(request, [f"{key}=many"])
    asked = request()
    assert request.from_parameters(asked.as_parameters()) == asked
