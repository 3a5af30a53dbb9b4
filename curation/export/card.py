"""The dataset card of a release: README.md as the hub shows it and `datasets` reads it. Pure text from the manifest."""

from __future__ import annotations

import re
from typing import Any

import yaml

from curation.export.layouts import LAYOUTS, features, schema_of, side_of
from curation.trust import in_words

SIZES = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
)


# What facts have of models, by the names of the manifest.
MEASURED_AS = {"difficulty": "Difficulty", "margin": "The likelihood margin", "reward": "The reward margin"}


def card(manifest: dict[str, Any], *, title: str, guidelines: dict[str, str], arrow_bytes: dict[str, int]) -> str:
    """The card of a release.

    Args:
        manifest: as it is written, with its `files`.
        title: the project's name.
        guidelines: the texts of the guidelines that the manifest names, by version.
        arrow_bytes: the size of each split's rows in memory, which `datasets` wants to know.
    """
    name = f"{title}, {manifest['version']}"
    parts = [
        _head(manifest, name=name, arrow_bytes=arrow_bytes),
        f"# {_line(name)}",
        *(_simulated(manifest)),
        f"{manifest['rows']:,} rows from {manifest['chosen']:,} pairs of answers, for preference training.",
        _load(manifest),
        "## How it was made",
        _made(manifest),
        _waterfall(manifest),
        _adjudicated(manifest),
        _subset(manifest),
        _cuts(manifest),
        "## Annotators",
        _annotators(manifest),
        "## Agreement",
        _agreement(manifest),
        "## Columns",
        _columns(manifest),
        "## Guideline",
        _guideline(manifest, guidelines),
        "## Known limits",
        _limits(manifest),
        "## Licence",
        _line(manifest["licence"]) or "No licence was named. Ask the publisher before you use or pass on these data.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _head(manifest: dict[str, Any], *, name: str, arrow_bytes: dict[str, int]) -> str:
    layout = manifest["layout"]
    splits: dict[str, list[str]] = {}
    for within in _told(manifest):
        splits.setdefault(within.partition("/")[0], []).append(within)
    head: dict[str, Any] = {
        # One line: a line of its own with three dashes would end the head.
        "pretty_name": " ".join(name.split()),
        "license": manifest["licence"] or "unknown",
        "tags": ["preference", "rlhf", "dpo", "trl", *(["simulated"] if manifest["annotators"]["simulated"] else [])],
        "size_categories": [next((size for most, size in SIZES if manifest["rows"] < most), "n>10M")],
        "configs": [
            {
                "config_name": config,
                **({"default": True} if config == layout else {}),
                "data_files": [
                    {"split": within.partition("/")[2], "path": f"{within}-*.parquet"} for within in splits[config]
                ],
            }
            for config in splits
        ],
        "dataset_info": [
            {
                "config_name": config,
                "features": features(schema_of(layout, manifest["rule"])),
                "splits": [
                    {
                        "name": within.partition("/")[2],
                        "num_bytes": arrow_bytes[within],
                        "num_examples": manifest["splits"][within],
                    }
                    for within in splits[config]
                ],
                "download_size": sum(one["bytes"] for one in manifest["files"] if one["path"].startswith(f"{config}/")),
                "dataset_size": sum(arrow_bytes[within] for within in splits[config]),
            }
            for config in splits
        ],
    }
    return f"---\n{yaml.safe_dump(head, sort_keys=False, allow_unicode=True, width=120)}---"


def _told(manifest: dict[str, Any]) -> list[str]:
    """The splits that the head names: `datasets` refuses a whole config one of whose splits has no row."""
    return [within for within, rows in manifest["splits"].items() if rows] or list(manifest["splits"])


def _simulated(manifest: dict[str, Any]) -> list[str]:
    count = manifest["annotators"]["simulated"]
    if not count:
        return []
    every = manifest["annotators"]["people"] + manifest["annotators"]["judges"]
    who = "All annotators are" if count == every else f"{count} of {every} annotators are"
    return [f"> **Simulated judgements.** {who} simulated. These data say nothing about what people prefer."]


def _load(manifest: dict[str, Any]) -> str:
    layout = LAYOUTS[manifest["layout"]]
    split = _told(manifest)[0].partition("/")[2]
    return (
        "```python\nfrom datasets import load_dataset\n\n"
        f'rows = load_dataset("path/to/this/folder", "{layout.name}", split="{split}")\n```\n\n'
        f"Layout `{layout.name}`: {layout.title}. Read by {layout.reads}."
        + (f"\n\n> **Mind.** {layout.warning}" if layout.warning else "")
    )


def _made(manifest: dict[str, Any]) -> str:
    whose = {"people": "people", "judges": "judges (models)", "all": "people and judges (models) together"}[
        manifest["voices"]
    ]
    rule = {
        "majority": f"The chosen answer is the one that more than half of the judgements of {whose} prefer. "
        "Skips do not count; ties and both bad count as judgements and never choose.",
        "dawid_skene": f"The chosen answer is the likeliest one by the model of Dawid and Skene (1979), which learned "
        f"from all judgements of {whose} how each of them errs. `probability` says how likely; with few judgements "
        "the model is too sure of itself.",
        "label": "The chosen answer is the one that the pair's source labelled as better.",
        "strength": f"The chosen answer is the one to which the mean of the known strengths of {whose} points.",
        "soft": f"No answer is chosen: every pair that {whose} judged is there, with the distribution of judgements.",
        "votes": f"No answer is chosen: every pair that {whose} judged or skipped is there.",
    }[manifest["rule"]]
    if manifest["least_probability"]:
        rule += f" Pairs of which it is less sure than {manifest['least_probability']:g} are left out."
    rule += {
        "drop": " What the rule calls a tie is left out.",
        "keep": " What the rule calls a tie is there.",
        "both": " What the rule calls a tie is there twice, once in each order.",
    }[manifest["ties"]]
    if manifest["test_share"]:
        rule += (
            f" About {manifest['test_share']:.0%} of the prompts, drawn by a hash with seed {manifest['seed']}, are in "
            "the split test with all their pairs: no prompt is in both."
        )
    told = _told(manifest)
    for within in manifest["splits"]:
        if within not in told:
            rule += f" `{within}` has no row, and is not named to `datasets`."
    criteria = ", ".join(f"`{_code(one)}`" for one in manifest["criteria"])
    return f"{rule}\n\nCriteria: {criteria or 'none besides those below'}.{_facts(manifest)}"


def _facts(manifest: dict[str, Any]) -> str:
    """Where it stands what the criteria went by."""
    told = manifest.get("facts")
    if not told:
        return ""
    names = ", ".join(f"`{_code(one)}`" for one in told["fields"])
    whose = "".join(
        f" {MEASURED_AS[key]} is for {_line(one['model'])} (`{_code(one['metric'])}`, run {one['run']})."
        for key, one in told["measures"].items()
    )
    return f" `facts.parquet` holds what {names} said of every pair of the project when this was released.{whose}"


def _waterfall(manifest: dict[str, Any]) -> str:
    lines = ["| Step | Removed | Left |", "|---|---:|---:|", f"| In the project | | {manifest['pairs']:,} |"]
    lines += [f"| {_cell(step['name'])} | {step['removed']:,} | {step['left']:,} |" for step in manifest["steps"]]
    return "\n".join([*lines, f"| **In this release** | | **{manifest['chosen']:,}** |"])


def _adjudicated(manifest: dict[str, Any]) -> str:
    count = manifest.get("adjudicated", {"pairs": 0})["pairs"]
    if not count:
        return ""
    return (
        f"An adjudicator who had not judged them decided {count:,} of these pairs, whatever their judgements say; "
        "`adjudicated` says which. The rule gives them no probability; where their judgements say otherwise, "
        "`strength_mean` is negative and a `margin` is 0. Scores of answers and an overall preference are the "
        "ruling's; counts, and what each annotator said, are theirs."
    )


def _subset(manifest: dict[str, Any]) -> str:
    """What was kept under a budget, and how much of the whole it holds."""
    told = manifest.get("subset")
    if not told:
        return ""
    vectors = (
        f"hashed n-grams of their texts (`{told['version']}`, projected with seed {manifest['seed']})"
        if told["run"] is None
        else f"mean hidden states of {_line(told['model'])} at revision `{_code(told['revision'])}` "
        f"(run {told['run']}, code {_line(told['code_version'])})"
    )
    return (
        f"A subset: of {told['of']:,} pairs at most {told['budget']:,} were kept, by greedy log-determinant gain over "
        f"{vectors}, {told['dimensions']} dimensions. They hold {told['share']:.1%} of the information of all, "
        "log det(1 + K) / 2. Who trains on it sees fewer near repetitions; shares of topics are no longer those of the "
        "whole."
    )


def _cuts(manifest: dict[str, Any]) -> str:
    """The configs that hold the easiest pairs."""
    if not manifest["cuts"]:
        return ""
    if len({cut["run"] for cut in manifest["cuts"].values()}) > 1:
        return _cuts_by_model(manifest)
    lines = [
        f"Configs with the easiest of these pairs{_difficult_for(manifest)}, ordered from easy to hard; the share is "
        "of the pairs that were measured:",
        "",
        "| Config | Share | Hardest | Not measured | Harder | Pairs |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    lines += [f"| `{config}` | {_kept(cut)} |" for config, cut in manifest["cuts"].items()]
    return "\n".join(lines) + _trust(manifest)


def _kept(cut: dict[str, Any]) -> str:
    """The end of a cut's row: its share, its hardest pair, what was left out and why, and what is left."""
    unmeasured, harder = cut["removed"]
    hardest = "" if cut["hardest"] is None else f"{cut['hardest']:.4g}"
    left_out = f"{unmeasured['removed']:,} | {harder['removed']:,}"
    return f"{cut['share']:g} | {hardest} | {left_out} | {harder['left']:,}"


def _cuts_by_model(manifest: dict[str, Any]) -> str:
    """Cuts for several models, each by its own measurement."""
    metric = next(iter(manifest["cuts"].values()))["metric"]
    lines = [
        f"Configs with the easiest of these pairs by `{_code(metric)}`, each for the model that it names, ordered from "
        "easy to hard; the share is of the pairs that were measured for that model:",
        "",
        "| Config | Model | Run | Trust | Share | Hardest | Not measured | Harder | Pairs |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for config, cut in manifest["cuts"].items():
        trust = "" if cut["trust"] is None else f"{cut['trust']:.2f}"
        lines.append(f"| `{config}` | {_cell(cut['model'])} | {cut['run']} | {trust} | {_kept(cut)} |")
    trusts = any(cut["trust"] is not None for cut in manifest["cuts"].values())
    return "\n".join(lines) + (
        "\n\nTrust: Spearman's correlation between the trainings of that order." if trusts else ""
    )


def _trust(manifest: dict[str, Any]) -> str:
    """How far the order of the cuts can be gone by, where trainings say it. Manifests from before do not."""
    cut = next(iter(manifest["cuts"].values()))
    if cut.get("trust") is None:
        return ""
    said = f"Spearman's correlation between the trainings of this order: {cut['trust']:.2f}."
    return f"\n\n{said} {in_words(cut['trust'])}"


def _difficult_for(manifest: dict[str, Any]) -> str:
    cut = next(iter(manifest["cuts"].values()))
    model = f" for {_line(cut['model'])}" if cut.get("model") else ""
    return f" by `{_code(cut['metric'])}`{model} (run {cut['run']})"


def _annotators(manifest: dict[str, Any]) -> str:
    who = manifest["annotators"]
    if not who["people"] + who["judges"]:
        return "Nobody judged these pairs here."
    each = who["judgements_each"]
    counted = [f"{who['people']} people", f"{who['judges']} judges (models)"]
    simulated = f", {who['simulated']} of them simulated" if who["simulated"] else ""
    return (
        f"{' and '.join(counted)}{simulated} made {who['judgements']:,} judgements of the released pairs; "
        f"each between {each['least']:,} and {each['most']:,}, half of them at least {each['median']:g}. "
        + ("They are told by their names." if manifest["names"] else "No names are released.")
    )


def _agreement(manifest: dict[str, Any]) -> str:
    both = manifest["agreement"]
    return (
        "Krippendorff's alpha (nominal: first, second, tie, both bad), with the 95 % bootstrap interval over pairs.\n\n"
        f"- All pairs that meet the criteria: {_estimate(both['selected'])}\n"
        f"- The released pairs: {_estimate(both['released'])}\n\n"
        "The rule prefers pairs on which annotators agree: the second figure is higher than the work deserves."
    )


def _estimate(found: dict[str, Any]) -> str:
    if found["value"] is None:
        return f"undefined. {found['reason']}"
    interval = f" ({found['low']:.3f} to {found['high']:.3f})" if found["low"] is not None else ""
    return f"{found['value']:.3f}{interval}, over {found['n']:,} pairs with two or more judgements"


def _columns(manifest: dict[str, Any]) -> str:
    layout = LAYOUTS[manifest["layout"]]
    side = side_of(layout.name, manifest["rule"])
    own = [name for name in layout.schema.names if name not in side]
    says = f"The layout's own: {', '.join(f'`{name}`' for name in own)}."
    if not side:
        return says
    lines = [f"{says} Beside them, ignored by trainers:", ""]
    return "\n".join([*lines, *(f"- `{name}`: {what}" for name, what in side.items())])


def _guideline(manifest: dict[str, Any], texts: dict[str, str]) -> str:
    """What the judgements were made under, each version with its text; and the one in force, where it is another."""
    told = manifest["guideline"]
    parts = []
    for version, count in told["judged_under"].items():
        if version == "none":
            parts.append(f"{_judgements(count)} of the released pairs {_were(count)} made without a guideline.")
        else:
            parts.append(
                f"Version {version}, under which {_judgements(count)} of the released pairs {_were(count)} made:"
            )
            parts.append(_fenced(texts[version]))
    in_force = told["version"]
    if in_force is None:
        parts.append("The project has no guideline in force.")
    elif str(in_force) in told["judged_under"]:
        parts.append(f"Version {in_force} was in force at the release.")
    else:
        parts.append(f"Version {in_force}, in force at the release; none of these judgements was made under it:")
        parts.append(_fenced(texts[str(in_force)]))
    return "\n\n".join(parts)


def _judgements(count: int) -> str:
    return f"{count:,} judgement{'' if count == 1 else 's'}"


def _were(count: int) -> str:
    return "was" if count == 1 else "were"


def _fenced(text: str) -> str:
    """A text as it is written, which cannot end its own fence."""
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", text)), default=0))
    return f"{fence}markdown\n{text}\n{fence}"


def _limits(manifest: dict[str, Any]) -> str:
    lines = [_line(manifest["limits"])] if manifest["limits"] else []
    lines.append("A majority hides who disagreed: read `agreement` and the counts beside each row before you trust it.")
    harmful = manifest["harmful"]
    if harmful["pairs"]:
        said = f" Signed off: {_line(harmful['sign_off'])}" if harmful["sign_off"] else ""
        lines.append(
            f"{harmful['pairs']:,} of {manifest['chosen']:,} pairs were flagged as harmful; "
            f"without a reason {100 * harmful['most']:g} % may be.{said}"
        )
    if manifest["annotators"]["simulated"]:
        lines.append("Some judgements are simulated.")
    if manifest["agreement"]["released"]["value"] is None:
        lines.append("How far annotators agree on these pairs is not known.")
    return "\n".join(f"- {line}" for line in lines)


def _line(text: str) -> str:
    """Text of a person, on one line, without the power to become markup."""
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", " ".join(text.split()))


def _cell(text: str) -> str:
    return _line(text)


def _code(text: str) -> str:
    return " ".join(text.split()).replace("`", "'")
