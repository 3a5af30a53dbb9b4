from __future__ import annotations

import pytest
import yaml

from curation.export.card import card


@pytest.fixture
def manifest():
    alpha = {"value": 0.6312, "low": 0.59, "high": 0.66, "n": 120}
    return {
        "version": "1.0",
        "layout": "trl_dpo",
        "rule": "majority",
        "ties": "drop",
        "least_probability": 0.0,
        "voices": "people",
        "criteria": ["agreement>=0.66"],
        "pairs": 200,
        "rows": 120,
        "chosen": 120,
        "splits": {"trl_dpo/train": 120},
        "cuts": {},
        "harmful": {"pairs": 0, "most": 0.005, "sign_off": ""},
        "test_share": 0.0,
        "seed": 0,
        "names": False,
        "steps": [{"name": "agreement>=0.66", "removed": 70, "left": 130}, {"name": "tie", "removed": 10, "left": 120}],
        "annotators": {
            "people": 3,
            "judges": 0,
            "simulated": 0,
            "judgements": 360,
            "judgements_each": {"least": 100, "median": 120.0, "most": 140},
        },
        "agreement": {"selected": alpha, "released": {"value": None, "reason": "No item has two labels.", "n": 0}},
        "guideline": {"version": 2, "sha256": "", "judged_under": {"1": 60, "none": 300}},
        "licence": "cc-by-4.0",
        "limits": "",
        "files": [{"path": "trl_dpo/train-00000-of-00001.parquet", "bytes": 1000, "sha256": "", "rows": 120}],
    }


def head_of(text):
    _, head, _ = text.split("---\n", 2)
    return yaml.safe_load(head)


def write(manifest, **changes):
    return card(
        manifest,
        **{
            "title": "Everyday help",
            "guidelines": {"1": "Be *strict*.", "2": "Be *kind*.\n"},
            "arrow_bytes": {"trl_dpo/train": 5000},
            **changes,
        },
    )


def test_the_head_tells_datasets_all_it_needs(manifest):
    head = head_of(write(manifest))
    assert head["configs"] == [
        {
            "config_name": "trl_dpo",
            "default": True,
            "data_files": [{"split": "train", "path": "trl_dpo/train-*.parquet"}],
        }
    ]
    info = head["dataset_info"][0]
    assert info["splits"] == [{"name": "train", "num_bytes": 5000, "num_examples": 120}]
    assert info["features"][0]["name"] == "prompt"
    assert (head["license"], head["size_categories"]) == ("cc-by-4.0", ["n<1K"])
    assert "simulated" not in head["tags"]


def test_the_text_tells_counts_agreement_people_guideline_and_licence(manifest):
    text = write(manifest)
    for said in (
        "# Everyday help, 1.0",
        "| agreement\\>=0.66 | 70 | 130 |",
        "| **In this release** | | **120** |",
        "0.631 (0.590 to 0.660), over 120 pairs",
        "undefined. No item has two labels.",
        "3 people and 0 judges (models) made 360 judgements",
        "Version 1, under which 60 judgements of the released pairs were made:\n\n```markdown\nBe *strict*.\n```",
        "300 judgements of the released pairs were made without a guideline.",
        "Version 2, in force at the release; none of these judgements was made under it:"
        "\n\n```markdown\nBe *kind*.\n\n```",
        "cc-by-4.0",
    ):
        assert said in text


def test_each_guideline_is_there_once(manifest):
    manifest["guideline"] = {"version": 2, "sha256": "", "judged_under": {"1": 1, "2": 59}}
    text = write(manifest).split("## Guideline")[1]
    assert "Version 1, under which 1 judgement of the released pairs was made" in text
    assert text.count("Be *kind*.") == text.count("Be *strict*.") == 1
    assert "Version 2 was in force at the release." in text


def test_simulated_judgements_are_marked_at_the_top_in_the_tags_and_in_the_limits(manifest):
    manifest["annotators"]["simulated"] = 3
    text = write(manifest)
    assert "simulated" in head_of(text)["tags"]
    assert "**Simulated judgements.** All annotators are simulated." in text.split("## How it was made")[0]
    assert "Some judgements are simulated." in text.split("## Known limits")[1]
    manifest["annotators"]["simulated"] = 1
    assert "1 of 3 annotators are simulated" in write(manifest)


def test_what_people_wrote_cannot_become_markup_or_another_head(manifest):
    manifest["limits"] = "![x](http://evil)\n## Licence\n<script>"
    text = write(
        manifest, title="A\n---\n# B [x](y)", guidelines={"1": "```\n---\n# Not the guideline's end\n````", "2": ""}
    )
    assert head_of(text)["pretty_name"] == "A --- # B [x](y), 1.0"
    assert "# A --- \\# B \\[x\\](y), 1.0" in text
    assert "\\<script\\>" in text
    assert "`````markdown\n```" in text
    assert text.count("\n## Licence\n") == 1


def test_without_licence_guideline_or_judgements_the_card_says_so(manifest):
    manifest["licence"] = ""
    manifest["guideline"] = {"version": None, "sha256": "", "judged_under": {}}
    manifest["annotators"] = {"people": 0, "judges": 0, "simulated": 0, "judgements": 0, "judgements_each": {}}
    text = write(manifest, guidelines={})
    assert head_of(text)["license"] == "unknown"
    assert "No licence was named." in text
    assert "has no guideline in force" in text
    assert "Nobody judged these pairs here." in text


def test_a_split_without_rows_is_told_in_words_and_not_in_the_head(manifest):
    manifest |= {"splits": {"trl_dpo/train": 0, "trl_dpo/test": 120, "trl_dpo-easiest-1/train": 0}, "test_share": 0.2}
    text = write(manifest, arrow_bytes=dict.fromkeys(manifest["splits"], 9))
    head = head_of(text)
    assert [one["config_name"] for one in head["configs"]] == ["trl_dpo"]
    assert [one["split"] for one in head["configs"][0]["data_files"]] == ["test"]
    assert [one["name"] for one in head["dataset_info"][0]["splits"]] == ["test"]
    assert 'split="test"' in text
    assert "`trl_dpo/train` has no row" in text
    assert "`trl_dpo-easiest-1/train` has no row" in text


def test_a_release_without_any_row_names_its_splits_all_the_same(manifest):
    manifest |= {"splits": {"trl_dpo/train": 0}, "rows": 0}
    head = head_of(write(manifest))
    assert [one["split"] for one in head["configs"][0]["data_files"]] == ["train"]
