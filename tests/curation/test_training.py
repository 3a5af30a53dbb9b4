"""What a release promises to those who use it: it loads as it is, and a trainer learns from it as it is.

Each runs in a fresh process that may not reach any hub.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest
from django.core.management import call_command

from annotation.models import Pair
from curation.choosing import uniform
from curation.export.layouts import LAYOUTS
from curation.releasing import release
from curation.verifying import verify

pytestmark = pytest.mark.gpu_stack

LOAD = """
import json, sys
from datasets import load_dataset
found = {}
for name in sys.argv[2:]:
    folder, config = f"{sys.argv[1]}/{name}", name.rpartition("/")[2]
    by_default, by_name = load_dataset(folder), load_dataset(folder, config)
    assert {split: rows.features for split, rows in by_default.items()} == {
        split: rows.features for split, rows in by_name.items()
    }
    found[name] = {split: list(rows) for split, rows in by_name.items()}
print(json.dumps(found))
"""

TRAIN = """
import json, sys
from datasets import load_dataset
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    LlamaConfig, LlamaForCausalLM, LlamaForSequenceClassification, PreTrainedTokenizerFast, set_seed
)
from trl import DPOConfig, DPOTrainer, KTOConfig, KTOTrainer, RewardConfig, RewardTrainer

folder, reward_folder, kto_folder, out = sys.argv[1:]
set_seed(0)
letters = sorted(pre_tokenizers.ByteLevel.alphabet())
vocabulary = {token: place for place, token in enumerate(["<pad>", "<eos>", *letters])}
bytes_only = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
bytes_only.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
bytes_only.decoder = decoders.ByteLevel()
tokenizer = PreTrainedTokenizerFast(tokenizer_object=bytes_only, pad_token="<pad>", eos_token="<eos>")
tokenizer.chat_template = (
    "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}<eos>{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)
# Saved first: the trainer loads the reference model from where the model came from.
tiny = LlamaConfig(
    vocab_size=len(vocabulary), hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
    max_position_embeddings=1024, pad_token_id=0, eos_token_id=1, bos_token_id=1, num_labels=1,
)
LlamaForCausalLM(tiny).save_pretrained(out)
usual = dict(output_dir=out, max_steps=5, per_device_train_batch_size=2, max_length=1024, use_cpu=True, bf16=False,
             learning_rate=1e-2, report_to="none", save_strategy="no", logging_steps=1, disable_tqdm=True)
rows = load_dataset(folder, split="train")
trainer = DPOTrainer(
    model=LlamaForCausalLM.from_pretrained(out),
    args=DPOConfig(**usual),
    train_dataset=rows,
    processing_class=tokenizer,
)
prepared = trainer.train_dataset[0]
trainer.train()
def losses_of(trainer):
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]

rewards = RewardTrainer(
    model=LlamaForSequenceClassification(tiny), args=RewardConfig(**usual),
    train_dataset=load_dataset(reward_folder, split="train").select(range(40)), processing_class=tokenizer,
)
rewards.train()
kto = KTOTrainer(
    model=LlamaForCausalLM.from_pretrained(out), args=KTOConfig(**usual),
    train_dataset=load_dataset(kto_folder, split="train").select(range(40)), processing_class=tokenizer,
)
kto.train()
batch = next(iter(rewards.get_train_dataloader()))
print(json.dumps({
    "rows": list(rows),
    "steps": trainer.state.global_step,
    "losses": losses_of(trainer),
    "reward": [rewards.state.global_step, losses_of(rewards), "margin" in batch],
    "kto": [kto.state.global_step, losses_of(kto)],
    "prompt": tokenizer.decode(prepared["prompt_ids"]),
    "chosen": tokenizer.decode(prepared["chosen_ids"]),
    "rejected": tokenizer.decode(prepared["rejected_ids"]),
}))
"""


def in_a_fresh_process(script, *arguments, home):
    environment = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "HF_HOME": str(home / "hf"),
        "OMP_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "CUDA_VISIBLE_DEVICES": "",
    }
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)], cwd=home, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


@pytest.fixture
def pairs(project, make_pair, say, alice, bob):
    """Ten pairs of all kinds: several turns, a system message, foreign scripts, marks that a format could trip over."""
    texts = [
        "Plain.",
        "Zwei\nZeilen",
        'Quotes " and \\ back',
        "日本語で答えます。",
        "مرحبا بالعالم",
        "🦊🦊",
        "{{ x }}",
        "$x^2$",
        "a|b",
        "<b>",
    ]
    made = [
        make_pair(slots=0, external_id=str(n), first=text, second=f"{text} And more.", tags=["a", "b"][: n % 3])
        for n, text in enumerate(texts)
    ]
    for place, pair in enumerate(made):
        say(alice, pair, "first" if place % 2 else "second", None if place == 4 else 2)
    several = made[3]
    several.prompt.messages = [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hello!"},
        {"role": "user", "content": "Auf Japanisch?"},
    ]
    several.prompt.system = "Be brief."
    several.prompt.save()
    several.second.messages = [
        *several.second.messages,
        {"role": "user", "content": "?"},
        {"role": "assistant", "content": "!"},
    ]
    several.second.save()
    say(bob, several, "both_bad")
    say(alice, several, "first", 3)
    say(bob, made[5], "first", 1)
    return made


def texts(candidate):
    return [{"role": one["role"], "content": one["content"]} for one in candidate.messages]


def as_text(messages):
    names = {"user": "Human", "assistant": "Assistant", "system": "System"}
    if len(messages) == 1:
        return messages[0]["content"]
    return "\n\n".join(f"{names[one['role']]}: {one['content']}" for one in messages)


# By the pair's external identifier: what its first answer became.
EDITS = {"0": ["Plainer."], "1": ["Zwei Zeilen"], "2": ["Quotes"], "3": ["日本語で。", "日本語。"], "9": ["<i>"]}


class Truth:
    """What the database says of a pair, read one by one and in plain Python."""

    def __init__(self, pair):
        from annotation.models import Judgement

        self.pair = pair
        self.said = [
            (("first" if (one.strength or 0) > 0 else "second") if one.verdict == "prefer" else one.verdict, one)
            for one in Judgement.objects.filter(assignment__pair=pair, is_current=True).order_by("pk")
        ]
        counted = [verdict for verdict, _ in self.said if verdict != "skip"]
        self.counts = {name: counted.count(name) for name in ("first", "second", "tie", "both_bad")}
        self.n = len(counted)
        self.winner = next((name for name in ("first", "second") if 2 * self.counts[name] > self.n), None)
        strengths = [one.strength for _, one in self.said if one.strength is not None and one.strength_known]
        self.mean = sum(strengths) / len(strengths) if strengths else None
        system = [{"role": "system", "content": pair.prompt.system}] if pair.prompt.system else []
        self.prompt = [*system, *texts(pair.prompt)]
        self.first, self.second = texts(pair.first), texts(pair.second)
        self.edits = EDITS.get(pair.external_id, [])
        self.chosen, self.rejected = (self.first, self.second) if self.winner == "first" else (self.second, self.first)

    @property
    def reasons(self):
        found = [one.rationales.first() for verdict, one in self.said if verdict == self.winner]
        return [one.text for one in found if one and one.text]

    @property
    def towards(self):
        if self.mean is None:
            return None
        return self.mean if self.winner == "first" else -self.mean


def steps_of(text):
    """The steps of the short texts of these tests: their sentences and lines."""
    import re

    return [part.strip() for part in re.split(r"(?<=[.!?])\s+|\n", text) if part.strip()]


def marked(t):
    """Rows of steps, from the spans of each judgement, one by one."""
    from annotation.models import Span

    rows = []
    for side, candidate in (("first", t.pair.first), ("second", t.pair.second)):
        spans = Span.objects.filter(candidate=candidate, rationale__judgement__is_current=True)
        text = candidate.messages[0]["content"]
        if len(candidate.messages) > 1 or not spans:
            continue
        labels, at = [], 0
        for step in steps_of(text):
            start = text.index(step, at)
            at = start + len(step)
            touching = [one for one in spans if one.start < at and one.end > start]
            against = {one.rationale.annotator_id for one in touching if one.polarity == "hurts"}
            for_it = {one.rationale.annotator_id for one in touching if one.polarity == "supports"}
            labels.append(len(against) <= len(for_it))
        rows.append({"prompt": as_text(t.prompt), "completions": steps_of(text), "labels": labels, "side": side})
    return rows


OWN = {
    "trl_stepwise": marked,
    "token_weights": lambda t: [
        {"initial": t.first[-1]["content"], "revised": text, "prompt": t.prompt + t.first[:-1], "side": "first"}
        for text in t.edits
    ],
    "trl_dpo": lambda t: [{"prompt": t.prompt, "chosen": t.chosen, "rejected": t.rejected}],
    "trl_reward": lambda t: [
        {"chosen": t.prompt + t.chosen, "rejected": t.prompt + t.rejected, "margin": max(t.towards or 0.0, 0.0)}
    ],
    "trl_kto": lambda t: [
        {"prompt": t.prompt, "completion": t.chosen, "label": True},
        {"prompt": t.prompt, "completion": t.rejected, "label": False},
    ],
    "ultrafeedback_binarized": lambda t: [
        {
            "prompt": next(one["content"] for one in t.prompt if one["role"] == "user"),
            "chosen": t.prompt + t.chosen,
            "rejected": t.prompt + t.rejected,
            "messages": t.prompt + t.chosen,
            "score_chosen": (t.counts[t.winner] + t.counts["tie"] / 2) / t.n,
        }
    ],
    "pku_saferlhf": lambda t: [
        {
            "prompt": as_text(t.prompt),
            "response_0": as_text(t.first),
            "response_1": as_text(t.second),
            "better_response_id": 0 if t.winner == "first" else 1,
        }
    ],
    "helpsteer3": lambda t: [
        {
            "context": t.prompt,
            "response1": as_text(t.first),
            "individual_preference": [
                {
                    # Stored as 1 for the answer where it came without its strength.
                    "score": -one.strength,
                    "reasoning": getattr(one.rationales.first(), "text", ""),
                    "feedback1": "",
                    "feedback2": "",
                }
                for _, one in t.said
                if one.strength is not None
            ],
        }
    ],
    "rationale": lambda t: [
        {"prompt": as_text(t.prompt), "chosen": as_text(t.chosen), "rationale": t.reasons[0]} for _ in t.reasons[:1]
    ],
    "votes": lambda t: [
        {
            "prompt": t.prompt,
            "first": t.first,
            "second": t.second,
            "verdict": verdict,
            "strength": one.strength if one.strength_known else None,
            "reason": getattr(one.rationales.first(), "text", ""),
        }
        for verdict, one in t.said
    ],
    "edited": lambda t: [
        {
            "prompt": t.prompt,
            "edited": [*t.first[:-1], {"role": "assistant", "content": text}],
            "chosen": t.first,
            "rejected": t.second,
        }
        for text in t.edits
        if t.winner == "first"
    ],
    "aligner": lambda t: [
        {
            "question": as_text(t.prompt),
            "answer": as_text(t.first),
            "correction": as_text([*t.first[:-1], {"role": "assistant", "content": text}]),
        }
        for text in t.edits
        if t.winner == "first"
    ],
    "soft": lambda t: [
        {"prompt": t.prompt, "first": t.first, "second": t.second, "strength_mean": t.mean}
        | {f"p_{name}": count / t.n for name, count in t.counts.items()}
    ],
    "hh": lambda t: [
        {
            "chosen": "".join(
                f"\n\n{ {'user': 'Human', 'assistant': 'Assistant'}[one['role']] }: {one['content']}"
                for one in t.prompt + t.chosen
            )
        }
    ],
    "listwise": lambda t: [
        {
            "prompt": t.prompt,
            "pair_ids": [t.pair.pk],
            "edited": [True] * len(t.edits) + [False, False],
            "completions": [[*t.first[:-1], {"role": "assistant", "content": text}] for text in t.edits]
            + [
                messages
                for _, messages in sorted(
                    [
                        (-(t.counts["first"] + t.counts["tie"] / 2), t.first),
                        (-(t.counts["second"] + t.counts["tie"] / 2), t.second),
                    ],
                    key=lambda both: both[0],
                )
            ],
        }
    ],
}


@pytest.mark.usefixtures("same_connection")
def test_every_layout_loads_in_a_fresh_process_and_says_what_the_database_says(
    project, pairs, tmp_path, say, alice, monkeypatch
):
    from annotation.models import Rationale, Span
    from curation import edits, marks
    from curation.export.records import Edit

    for place, pair in enumerate(pairs):
        for one in pair.assignments.get(annotator=alice).judgements.filter(is_current=True):
            if place % 3:
                why = Rationale.objects.create(judgement=one, pair=pair, annotator=alice, text=f"Because of {place}.")
                Span.objects.create(rationale=why, candidate=pair.first, start=0, end=2)
                Span.objects.create(rationale=why, candidate=pair.second, start=0, end=1, polarity="hurts")
    of_pair = {pair.pk: [Edit("", "first", text) for text in EDITS.get(pair.external_id, [])] for pair in pairs}
    monkeypatch.setattr(edits, "edits_of", lambda numbers, **_: [of_pair[number] for number in numbers.tolist()])
    monkeypatch.setattr(
        edits, "with_edits", lambda **_: marks.by_side([(pair, True) for pair, each in of_pair.items() for _ in each])
    )
    say(alice, pairs[7], "skip")
    say(alice, pairs[8], "tie")
    project.prompts.filter(system="Be brief.").update(system="")
    assert {*OWN} == {*LAYOUTS}
    # A seed by which each split has a pair of every layout: 1 is in all, 2 in all but those of better answers that were
    # edited, and 9 in those.
    prompts = np.array([pairs[place].prompt_id for place in (1, 2, 9)])
    seed = next(seed for seed in range(1000) if (uniform(prompts, seed=seed) < 0.3).tolist() == [True, False, False])
    for name, layout in LAYOUTS.items():
        rule = "majority" if layout.chooses else "votes" if name == "votes" else "soft"
        done = release(
            project=project, version=name, layout=name, rule=rule, test_share=0.3, seed=seed, out=tmp_path / name
        )
        assert done.release.manifest["splits"][f"{name}/test"] > 0
    # And a release all of whose pairs fell into the test split.
    all_prompts = np.array([pair.prompt_id for pair in pairs])
    one_sided = next(seed for seed in range(10_000) if (uniform(all_prompts, seed=seed) < 0.5).all())
    release(
        project=project,
        version="one-sided",
        layout="trl_dpo",
        test_share=0.5,
        seed=one_sided,
        out=tmp_path / "one-sided/trl_dpo",
    )
    found = in_a_fresh_process(LOAD, tmp_path, *LAYOUTS, "one-sided/trl_dpo", home=tmp_path)
    assert list(found["one-sided/trl_dpo"]) == ["test"]
    assert len(found["one-sided/trl_dpo"]["test"]) == sum(map(len, found["trl_dpo"].values()))
    truths = [Truth(pair) for pair in Pair.objects.order_by("pk").select_related("prompt", "first", "second")]
    everywhere = None
    for name, layout in LAYOUTS.items():
        fits = [t for t in truths if (t.winner if layout.chooses else t.said if name == "votes" else t.n)]
        expected = {t.pair.pk: OWN[name](t) for t in fits if OWN[name](t)}
        by_pair: dict[int, list] = {}
        for rows in found[name].values():
            for row in rows:
                by_pair.setdefault(row["pair_id"] if "pair_id" in row else row["pair_ids"][0], []).append(row)
        assert {*by_pair} == {*expected}, name
        for pair, wanted in expected.items():
            given = [{key: row[key] for key in wanted[0]} for row in by_pair[pair]]
            assert given == wanted, (name, pair)
        # One prompt is on one side, and on the same side in every layout.
        sides = {
            row.get("pair_id", row.get("pair_ids")): split
            for split, rows in found[name].items()
            for row in rows
            if "pair_id" in row
        }
        everywhere = {**sides, **(everywhere or {})}
        assert all(everywhere[pair] == split for pair, split in sides.items())
        assert verify(tmp_path / name) == [], name


@pytest.mark.usefixtures("same_connection", "few_texts_set")
def test_the_release_of_mt_bench_loads_and_trl_trains_on_it_as_it_is(db, shared_data, tmp_path):
    from annotation.models import Project

    for kind in ("pairs", "judgements"):
        with (shared_data / f"{kind}.jsonl").open() as rows, (tmp_path / f"{kind}.jsonl").open("w") as out:
            out.writelines(row for row in rows if json.loads(row)["source"] == "mt-bench-human")
    call_command(
        "import_pairs", tmp_path / "pairs.jsonl", "--project", "mtbench", "--create", "--allow", "empty,identical"
    )
    call_command("import_judgements", tmp_path / "judgements.jsonl", "--project", "mtbench", "--judge", "gpt4_pair")
    project = Project.objects.get(slug="mtbench")
    done = release(project=project, version="v1", out=tmp_path / "out").release
    assert done.manifest["pairs"] == 922
    assert sum(step["removed"] for step in done.manifest["steps"]) + done.rows == 922
    for layout in ("trl_reward", "trl_kto"):
        release(project=project, version=layout, layout=layout, out=tmp_path / layout)
    folders = [tmp_path / name for name in ("out", "trl_reward", "trl_kto", "model")]
    found = in_a_fresh_process(TRAIN, *folders, home=tmp_path)
    assert len(found["rows"]) == done.rows > 500
    for row in found["rows"]:
        mine = row["n_first"] if row["chosen_side"] == "first" else row["n_second"]
        assert 2 * mine > row["n_judgements"]
        assert row["chosen"] != row["rejected"]
    assert found["steps"] == len(found["losses"]) == 5
    # Before the first step model and reference are the same: ln 2. Then it learns.
    assert found["losses"][0] == pytest.approx(0.6931, abs=1e-3)
    assert found["losses"][1:] != found["losses"][:-1]
    steps, losses, has_margin = found["reward"]
    assert (steps, len(losses), has_margin) == (5, 5, True)
    steps, losses = found["kto"]
    assert (steps, len(losses)) == (5, 5)
    assert all(math.isfinite(loss) for loss in [*losses, *found["reward"][1]])
    # The trainer reads the prompt as a conversation that the answers continue.
    first = next(
        row for row in found["rows"] if found["prompt"].startswith(f"user: {row['prompt'][0]['content']}<eos>")
    )
    asked = "".join(f"{message['role']}: {message['content']}<eos>" for message in first["prompt"])
    assert found["prompt"] == f"{asked}assistant: "
    assert any(
        found["chosen"].startswith(row["chosen"][0]["content"][:50])
        and found["rejected"].startswith(row["rejected"][0]["content"][:50])
        for row in found["rows"]
        if row["prompt"] == first["prompt"] and row["chosen"][0]["content"] and row["rejected"][0]["content"]
    )
