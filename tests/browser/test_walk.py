"""From the board to a dataset that loads: the walk of a lead on real data, in a real browser, with real commands."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone

from annotation.models import Annotator, LanguageModel, Pair, PrincipleVote, Project
from curation.measuring import whole_runs
from curation.models import Release, Selection
from tests.browser.boards import LIVE, counted, shown
from tests.browser.sitting import comes_true
from tests.browser.test_pages import faults
from tests.workers import preferences

pytestmark = [pytest.mark.browser, pytest.mark.gpu_stack, pytest.mark.django_db(transaction=True)]
LOAD = """
import json, sys
from datasets import load_dataset
rows = load_dataset(sys.argv[1], "trl_dpo")
print(json.dumps({split: list(part) for split, part in rows.items()}))
"""


def is_human_vote(one: dict[str, Any]) -> bool:
    return bool(one["source"] == "alignment-discretion-hh" and one["annotator_id"] == "human")


def make_mtbench(shared_data: Path, tmp_path: Path) -> Project:
    """The MT-bench half with its people and its judge, measured, and with the facts that a board reads.

    The votes on principles of the same data are of other pairs, whose texts are not in it: pairs with their identifiers
    and texts of our own stand for them. Difficulty is that of a tiny model with random weights: small, truly trained.
    `tmp_path` is one of the server's MODEL_ROOTS.
    """
    with (shared_data / "principle_votes.jsonl").open() as votes:
        voted = [json.loads(row)["item_id"] for row in votes]
    for kind in ("pairs", "judgements"):
        with (shared_data / f"{kind}.jsonl").open() as rows, (tmp_path / f"{kind}.jsonl").open("w") as out:
            for row in rows:
                one = json.loads(row)
                if one["source"] == "mt-bench-human" or (kind == "judgements" and is_human_vote(one)):
                    out.write(row)
            if kind == "pairs":
                for item in voted:
                    texts = {"prompt": f"Of {item}.", "response_a": f"One to {item}.", "response_b": f"Two to {item}."}
                    out.write(json.dumps({"item_id": item, "source": "alignment-discretion-hh", **texts}) + "\n")
    call_command(
        "import_pairs", tmp_path / "pairs.jsonl", "--project", "mtbench", "--create", "--allow", "empty,identical"
    )
    call_command("import_judgements", tmp_path / "judgements.jsonl", "--project", "mtbench", "--judge", "gpt4_pair")
    call_command(
        "import_principle_votes", shared_data / "principle_votes.jsonl", "--project", "mtbench", "--judge", "gpt-4o",
        "--principles", shared_data / "principles.jsonl",
    )  # fmt: skip
    folder = preferences.save_model(tmp_path / "tiny", width=16)
    LanguageModel.objects.create(
        name="tiny", backend="transformers_local", location=str(folder), allowed_at=timezone.now(), is_sound=True,
        checked_at=timezone.now(), check_said="Loaded.",
    )  # fmt: skip
    for name in ("agreement", "discretion"):
        call_command("measure", name, "--project", "mtbench", "--bootstrap", "50")
    typed = ["model=tiny", "seeds=41", "checkpoints=2", "learning_rate=0.003", "max_length=64"]
    call_command(
        "measure", "difficulty", project="mtbench", set=typed, where=["source=mt-bench-human"], here=True, json=True
    )
    call_command("gather_facts", "--project", "mtbench", "--model", "tiny")
    return Project.objects.get(slug="mtbench")


@pytest.fixture
def mtbench(lead: Any, shared_data: Path, tmp_path: Path, settings: Any) -> Project:
    settings.MODEL_ROOTS = [tmp_path]
    project = make_mtbench(shared_data, tmp_path)
    Annotator.objects.create(project=project, user=lead.user, role="lead", name="Lena")
    return project


def query_of(page: Any) -> str:
    return str(page.evaluate("() => location.search.slice(1)"))


def save_as(page: Any, name: str) -> None:
    page.locator("#save").click()
    page.locator("#keep input[name=name]").fill(name)
    page.locator("#keep").get_by_role("button", name="Save").click()
    page.wait_for_selector(LIVE)


def test_from_the_board_to_a_dataset_that_loads(enter: Any, lead: Any, mtbench: Project, tmp_path: Path) -> None:
    assert mtbench.pairs.count() == 922 + 1156
    assert whole_runs(mtbench, "agreement").count() == whole_runs(mtbench, "discretion").count() == 1
    assert PrincipleVote.objects.filter(pair__project=mtbench).count() > 1156
    page = enter(lead, "/p/mtbench/board")
    page.wait_for_selector(LIVE)
    assert shown(page) == 2078
    assert faults(page) == []
    # A brush by hand over difficulty: what the page counts is what the database counts.
    page.locator("#at-x").scroll_into_view_if_needed()
    box = page.locator("#at-x .chart").bounding_box()
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 0.2, y)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.8, y, steps=8)
    page.mouse.up()
    comes_true(page, "() => location.search.includes('difficulty=0.2..0.8')")
    page.locator("#d-judgements-from").fill("2")
    page.locator("#d-judgements-from").press("Enter")
    comes_true(page, "() => location.search.includes('judgements=2')")
    brushed, query = shown(page), query_of(page)
    assert brushed == counted(mtbench, query) > 50
    save_as(page, "Neither easy nor hard")
    # A named region, by its button.
    page.goto("/p/mtbench/board")
    page.wait_for_selector(LIVE)
    page.get_by_role("button", name="Show only: Too hard for this model").click()
    comes_true(page, "() => location.search.includes('reading=hard')")
    hard = shown(page)
    assert hard == counted(mtbench, query_of(page)) > 0
    assert faults(page) == []
    save_as(page, "Too hard")
    one, other = Selection.objects.order_by("pk")
    assert (one.query, one.owner, other.query) == (query, lead.user, "reading=hard")
    # Both beside each other.
    page.locator("#compare").click()
    page.get_by_label("First", exact=False).select_option(str(one.pk))
    page.get_by_label("Second", exact=False).select_option(str(other.pk))
    page.get_by_role("button", name="Compare").click()
    page.get_by_text(f"{brushed} against {hard} pairs").wait_for()
    assert page.locator("tbody tr").count() > 5
    assert faults(page) == []
    # The wizard: its selection, its preview, its button.
    page.goto("/p/mtbench/releases")
    page.get_by_role("link", name="New release").click()
    page.locator("#id_selection").select_option(str(one.pk))
    page.locator("#id_test_share").fill("20")
    page.locator("#id_test_share").press("Tab")
    page.locator('[data-count="selected"]').filter(has_text=re.compile(f"^{brushed}$")).wait_for()
    assert page.locator("#preview").get_by_text("20 rows at random").is_visible()
    assert faults(page) == []
    page.locator("#id_version").fill("walk-1")
    button = page.locator("#go")
    number = re.search(r"[\d,]+", button.inner_text())
    assert number is not None
    promised = int(number[0].replace(",", ""))
    assert 0 < promised <= brushed
    button.click()
    page.wait_for_url("**/releases/walk-1")
    made = Release.objects.get(project=mtbench, version="walk-1")
    assert (made.rows, made.manifest["chosen"]) == (promised, promised)
    assert faults(page) == []
    page.get_by_role("button", name="Verify").click()
    page.get_by_text("every row follows from the judgements").wait_for()
    # And it loads, in a process that knows nothing of us and reaches no hub.
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf")}
    done = subprocess.run(
        [sys.executable, "-c", LOAD, made.folder], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    splits = json.loads(done.stdout.strip().splitlines()[-1])
    rows = [row for part in splits.values() for row in part]
    assert ({*splits}, len(rows)) == ({"train", "test"}, promised)
    pairs = Pair.objects.select_related("prompt", "first", "second").in_bulk([row["pair_id"] for row in rows])
    for row in rows:
        pair = pairs[row["pair_id"]]
        said: Counter[str] = Counter()
        for strength in pair.assignments.filter(
            judgements__is_current=True, judgements__verdict="prefer", annotator__kind="person"
        ).values_list("judgements__strength", flat=True):
            assert strength is not None
            said["first" if strength > 0 else "second"] += 1
        assert 2 * said[row["chosen_side"]] > row["n_judgements"]
        winner, loser = (pair.first, pair.second) if row["chosen_side"] == "first" else (pair.second, pair.first)
        assert row["prompt"] == [{key: one[key] for key in ("role", "content")} for one in pair.prompt.messages]
        assert [row["chosen"][-1]["content"], row["rejected"][-1]["content"]] == [
            winner.messages[-1]["content"],
            loser.messages[-1]["content"],
        ]
