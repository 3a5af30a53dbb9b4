"""The real files beside the project: all of their dirt is found, all of their rows come in when they may."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from annotation.importing import import_judgements, import_pairs, import_principle_votes
from annotation.models import Annotator, Assignment, Judgement, Pair, PrincipleVote, Project

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("few_texts_set")]
BOTH = {"empty", "identical"}


def lines_of(path: Path) -> dict[str, dict[str, Any]]:
    with path.open(encoding="utf-8") as handle:
        return {row["item_id"]: row for row in map(json.loads, handle)}


def test_the_dirt_of_the_pairs_is_found(project: Project, shared_data: Path) -> None:
    report = import_pairs(project=project, path=shared_data / "pairs.jsonl")
    assert (report.read, report.stored) == (4_220, False)
    assert report.counts == {"empty": 58, "identical": 8}
    rows = lines_of(shared_data / "pairs.jsonl")
    assert Counter(rows[refusal.item]["source"] for refusal in report.refusals) == {
        "pandalm-test-v1": 54,
        "mt-bench-human": 12,
    }
    assert not Pair.objects.exists()


def test_the_booleans_of_pandalm_are_found(project: Project, shared_data: Path) -> None:
    path = shared_data / "raw" / "pandalm_testset-v1.json"
    report = import_pairs(project=project, path=path, on_error="skip")
    assert (report.layout, report.read, report.added) == ("pandalm", 999, 939)
    assert report.counts == {"empty": 54, "wrong_type": 6}
    booleans = [refusal for refusal in report.refusals if refusal.reason == "wrong_type"]
    assert [refusal.item for refusal in booleans] == ["157", "158", "159", "161", "162", "164"]
    assert all("it is a boolean" in refusal.sentence for refusal in booleans)
    text = path.read_text(encoding="utf-8").split("\n")
    for refusal in report.refusals:
        assert json.loads(text[refusal.line].strip().rstrip(",").partition(":")[2]) == int(refusal.item)


def test_all_of_pairs_comes_in_with_the_dirt_marked_and_labels_on_their_candidates(
    project: Project, shared_data: Path
) -> None:
    report = import_pairs(project=project, path=shared_data / "pairs.jsonl", allow=BOTH)
    assert (report.added, report.linked, report.already) == (4_220, 0, 0)
    pairs = Pair.objects.select_related("first", "second")
    assert Counter(mark for pair in pairs for mark in pair.marks) == {"empty": 58, "identical": 8}
    rows = lines_of(shared_data / "pairs.jsonl")
    for pair in pairs:
        row = rows[pair.external_id]
        a, b = (pair.first, pair.second) if pair.meta["imported"]["a"] == "first" else (pair.second, pair.first)
        assert (a.text, b.text) == (row["response_a"], row["response_b"])
        assert [a.model, b.model] == (row.get("meta") or {}).get("models", ["", ""])
        side = {"first": pair.first, "second": pair.second}.get(pair.label)
        assert {"a": a, "b": b}.get(row["label"] or "") == side
        assert (pair.label == "tie") == (row["label"] == "tie")
    # Which side became first says nothing: 4,220 fair draws lie in this range with probability .9999.
    assert 1_983 <= sum(pair.meta["imported"]["a"] == "first" for pair in pairs) <= 2_237
    assert Assignment.objects.count() == 4_220 * project.overlap


def test_pandalm_and_its_judgements(project: Project, shared_data: Path) -> None:
    pairs = import_pairs(project=project, path=shared_data / "pairs.jsonl", allow=BOTH, source="pandalm-test-v1")
    assert pairs.added == 999
    report = import_judgements(project=project, path=shared_data / "judgements.jsonl")
    assert (report.read, report.added) == (51_230, 2_997)
    assert dict(report.elsewhere) == {
        "task categorical": 29_157,
        "task ordinal": 4_986,
        "task multilabel-nli": 1_933,
        "items that are not in this project": 12_157,
    }
    # VariErr has 77 cells of one annotator on one item with two labels: they say both, and are no duplicates.
    assert report.counts == {}
    # Each verdict is on the candidate that the file's choice names.
    chosen = {}
    with (shared_data / "judgements.jsonl").open() as handle:
        for row in map(json.loads, handle):
            if row["source"] == "pandalm-test-v1":
                chosen[row["item_id"], row["annotator_id"]] = row["choice"]
    rows = lines_of(shared_data / "pairs.jsonl")
    stored = Judgement.objects.current().select_related(
        "annotator", "assignment__pair__first", "assignment__pair__second"
    )
    assert len(stored) == len(chosen)
    for judgement in stored:
        pair = judgement.assignment.pair
        choice = chosen[pair.external_id, judgement.annotator.external_id]
        if choice == "tie":
            assert (judgement.verdict, judgement.strength) == ("tie", 0)
        else:
            better = pair.first if (judgement.strength or 0) > 0 else pair.second
            assert better.text == rows[pair.external_id][f"response_{choice}"]
            assert (abs(judgement.strength or 0), judgement.strength_known) == (1, False)
    # Observed agreement of annotators 1 and 2, from which the published kappa .8520 follows.
    said: dict[str, dict[str, str]] = {}
    for (item, who), choice in chosen.items():
        said.setdefault(who, {})[item] = choice
    one, two = said["pandalm-ann1"], said["pandalm-ann2"]
    agree = sum(one[item] == two[item] for item in one) / 999
    by_chance = (
        sum(Counter(one.values())[choice] * Counter(two.values())[choice] for choice in ("a", "b", "tie")) / 999**2
    )
    assert round((agree - by_chance) / (1 - by_chance), 4) == 0.8520


def test_the_native_file_of_pandalm_finds_the_pairs_of_the_other(project: Project, shared_data: Path) -> None:
    raw = shared_data / "raw" / "pandalm_testset-v1.json"
    import_pairs(project=project, path=shared_data / "pairs.jsonl", allow=BOTH, source="pandalm-test-v1")
    linked = import_pairs(project=project, path=raw, allow=BOTH, on_error="skip")
    assert (linked.added, linked.linked, linked.counts) == (0, 993, {"wrong_type": 6})
    first = import_judgements(project=project, path=raw, on_error="skip")
    assert (first.added, first.counts) == (993 * 3, {"wrong_type": 6})
    # The same annotators and choices under the other ids, besides those of the six rows.
    second = import_judgements(project=project, path=shared_data / "judgements.jsonl")
    assert (second.already, second.added) == (993 * 3, 6 * 3)


def test_mt_bench_and_its_judgements(project: Project, shared_data: Path) -> None:
    pairs = import_pairs(project=project, path=shared_data / "pairs.jsonl", allow=BOTH, source="mt-bench-human")
    assert pairs.added == 922
    report = import_judgements(project=project, path=shared_data / "judgements.jsonl", judges={"gpt4_pair"})
    assert (report.added, report.counts) == (1_687 + 922, {})
    # What GPT-4 said otherwise in the other order stands in the file as a tie, and comes in as one.
    with (shared_data / "judgements.jsonl").open() as handle:
        verdicts = {row["item_id"]: row for row in map(json.loads, handle) if row["annotator_id"] == "gpt4_pair"}
    folded = {item for item, row in verdicts.items() if (row.get("meta") or {}).get("raw") == "tie (inconsistent)"}
    said = Judgement.objects.filter(annotator__kind="judge", assignment__pair__external_id__in=folded)
    assert len(folded) == 140
    assert list(said.values_list("verdict", "strength").distinct()) == [("tie", 0)]
    assert said.count() == 140
    assert Judgement.objects.by_people().count() == 1_687
    assert Annotator.objects.judges().get().external_id == "gpt4_pair"
    assert Annotator.objects.people().filter(project=project).count() == 65
    assert not Assignment.objects.done().slots().exists()


def test_second_turns_keep_each_answer_with_its_own_history(project: Project, shared_data: Path) -> None:
    import_pairs(project=project, path=shared_data / "pairs.jsonl", allow=BOTH, source="mt-bench-human")
    rows = lines_of(shared_data / "pairs.jsonl")
    second_turns = [pair for pair in Pair.objects.select_related("prompt", "first", "second") if pair.meta["turn"] == 2]
    assert len(second_turns) == 460
    for pair in second_turns:
        row = rows[pair.external_id]
        a, b = (pair.first, pair.second) if pair.meta["imported"]["a"] == "first" else (pair.second, pair.first)
        for candidate, side in ((a, "a"), (b, "b")):
            whole = [*row[f"messages_{side}"], {"role": "assistant", "content": row[f"response_{side}"]}]
            assert pair.prompt.messages + candidate.messages == whole


def test_principle_votes_of_the_real_file_find_their_side(project: Project, shared_data: Path, tmp_path: Path) -> None:
    """The texts of these pairs are not in the pack: pairs with their ids and texts of our own stand for them."""
    votes = lines_of(shared_data / "principle_votes.jsonl")
    path = tmp_path / "hh.jsonl"
    with path.open("w") as handle:
        for item in votes:
            row = {
                "item_id": item,
                "source": "hh",
                "prompt": item,
                "response_a": f"a {item}",
                "response_b": f"b {item}",
            }
            handle.write(json.dumps(row) + "\n")
    import_pairs(project=project, path=path)
    options: dict[str, Any] = {"principles": shared_data / "principles.jsonl", "judges": {"gpt-4o"}}
    report = import_principle_votes(project=project, path=shared_data / "principle_votes.jsonl", **options)
    assert (report.added, report.made) == (1_156, {"votes": 24_276, "principles made": 21, "annotators made": 1})
    stored = list(PrincipleVote.objects.values_list("pair__external_id", "principle__key", "vote"))
    assert Counter(vote == "irrelevant" for _, _, vote in stored) == {True: 20_263, False: 4_013}
    texts = {
        pair.external_id: {"first": pair.first.text, "second": pair.second.text}
        for pair in Pair.objects.select_related("first", "second")
    }
    for item, principle, vote in stored:
        better = texts[item].get(vote)
        assert votes[item]["votes"][int(principle)] == (0 if better is None else 1 if better.startswith("a ") else -1)
    again = import_principle_votes(project=project, path=shared_data / "principle_votes.jsonl", **options)
    assert (again.added, again.already, again.made["votes"]) == (0, 1_156, 0)
