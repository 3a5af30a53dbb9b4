"""What a release promises to those who use it: it loads as it is, and a trainer learns from it as it is.

Each runs in a fresh process that may not reach any hub.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import uuid

import numpy as np
import pytest
from django.core.management import call_command

from annotation import editing
from annotation.distance import levenshtein
from annotation.models import Guideline, Judgement, Pair, Prompt, Rationale, Span
from curation import settling
from curation.choosing import uniform
from curation.export.layouts import LAYOUTS
from curation.metrics.aggregation import dawid_skene
from curation.metrics.labels import Labels
from curation.models import Adjudication
from curation.releasing import release
from curation.verifying import verify
from tests.curation.truth import ROWS, Truth

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


# Who edited which answer they found better, by the pair's place.
EDITS = [
    (0, "alice", "Plain. And even more."),
    (1, "alice", "Zwei Zeilen"),
    (3, "alice", "日本語で。"),
    (5, "alice", "🦊🦊."),
    (5, "bob", "🦊🦊!"),
    (6, "alice", "{{ y }} And more."),
    (9, "alice", "<i>"),
]
# Layouts that can hold a tie are given one; the others that choose none show everything that was said.
RULES = {"votes": "votes", "soft": "soft", "trl_stepwise": "soft", "token_weights": "soft"}
KEEPS_TIES = ("listwise", "helpsteer3")


@pytest.fixture
def told(project, pairs, say, alice, bob, adjudicator):
    """The ten pairs with reasons, highlights, edits, a skip, a tie, a guideline and two rulings."""
    guideline = Guideline.objects.create(project=project, version=7, text="Be kind.", html="")
    for place, pair in enumerate(pairs):
        Pair.objects.filter(pk=pair.pk).update(source=f"source {place % 2}")
        for one in pair.assignments.get(annotator=alice).judgements.filter(is_current=True):
            if place % 3:
                why = Rationale.objects.create(
                    judgement=one, pair=pair, annotator=alice, text=f"Because of {place}.", tags=["clear"][: place % 2]
                )
                Span.objects.create(rationale=why, candidate=pair.first, start=0, end=2)
                Span.objects.create(rationale=why, candidate=pair.second, start=0, end=1, polarity="hurts")
    say(bob, pairs[9], "first", 3, guideline=guideline)
    say(alice, pairs[7], "skip")
    say(alice, pairs[8], "tie")
    project.prompts.filter(system="Be brief.").update(system="")
    Prompt.objects.filter(pk=pairs[1].prompt_id).update(language="de", tags=["a", "c"])
    for place, name, text in EDITS:
        judgement = Judgement.objects.get(
            assignment__pair=pairs[place], annotator={"alice": alice, "bob": bob}[name], is_current=True
        )
        better = pairs[place].first if (judgement.strength or 0) > 0 else pairs[place].second
        editing.store_edit(
            judgement_id=judgement.pk,
            edited=editing.Edited(better.pk, text, levenshtein(better.messages[-1]["content"], text)),
        )
    for place, outcome in ((6, "first"), (7, "tie")):
        one = Adjudication.objects.create(project=project, pair=pairs[place])
        settling.settle(adjudication=one, adjudicator=adjudicator, key=uuid.uuid4(), outcome=outcome)
    return pairs


@pytest.mark.usefixtures("same_connection")
def test_every_layout_loads_in_a_fresh_process_and_says_what_the_database_says(project, told, tmp_path):
    pairs = told
    assert {*ROWS} == {*LAYOUTS}
    # A seed by which each split has a pair of every layout: 1 is in all, 2 in all but those of better answers that were
    # edited, and 9 in those.
    prompts = np.array([pairs[place].prompt_id for place in (1, 2, 9)])
    seed = next(seed for seed in range(1000) if (uniform(prompts, seed=seed) < 0.3).tolist() == [True, False, False])
    made = {}
    for name in LAYOUTS:
        rule = RULES.get(name, "majority")
        made[name] = release(
            project=project,
            version=name,
            layout=name,
            rule=rule,
            ties="keep" if name in KEEPS_TIES else "",
            test_share=0.3,
            seed=seed,
            out=tmp_path / name,
        ).release
        assert made[name].manifest["splits"][f"{name}/test"] > 0
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
    everywhere = None
    for name, layout in LAYOUTS.items():
        all_pairs = Pair.objects.order_by("pk").select_related("prompt", "first", "second")
        truths = [Truth(pair, made[name]) for pair in all_pairs]
        if layout.chooses:
            fits = [t for t in truths if t.winner]
        elif name in KEEPS_TIES:
            fits = [t for t in truths if t.says in ("first", "second", "tie")]
        else:
            fits = [t for t in truths if (t.said if name == "votes" else t.n)]
        expected = {t.pair.pk: rows for t in fits if (rows := ROWS[name](t))}
        by_pair: dict[int, list] = {}
        for rows in found[name].values():
            for row in rows:
                by_pair.setdefault(row["pair_id"] if "pair_id" in row else row["pair_ids"][0], []).append(row)
        assert {*by_pair} == {*expected}, name
        for pair, wanted in expected.items():
            # Whole rows: no column is there that the database was not asked for, and none is missing.
            assert by_pair[pair] == wanted, (name, pair)
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
    # What these pairs were made for is in there.
    assert {row["adjudicated"] for rows in found["trl_dpo"].values() for row in rows} == {True, False}
    assert 0 in [row["overall_preference"] for rows in found["helpsteer3"].values() for row in rows]
    assert sum(len(rows) for rows in found["token_weights"].values()) == len(EDITS)


@pytest.mark.usefixtures("same_connection")
def test_rows_by_dawid_and_skene_say_how_likely_each_is(project, told, tmp_path):
    made = release(project=project, version="ds", rule="dawid_skene", out=tmp_path / "ds/trl_dpo").release
    found = in_a_fresh_process(LOAD, tmp_path, "ds/trl_dpo", home=tmp_path)
    (rows,) = found["ds/trl_dpo"].values()
    truths = {t.pair.pk: t for t in (Truth(pair, made) for pair in Pair.objects.order_by("pk"))}
    said = [
        (place, one.annotator_id, ("first", "second", "tie", "both_bad").index(verdict))
        for place, t in enumerate(truths.values())
        for verdict, one in t.said
        if verdict != "skip"
    ]
    item, annotator, value = np.array(said).T
    whose, who = np.unique(annotator, return_inverse=True)
    labels = Labels(item, who, value, np.arange(len(truths)), whose, np.array(["first", "second", "tie", "both_bad"]))
    posterior = dict(zip(truths, dawid_skene(labels).posterior, strict=True))
    assert {row["pair_id"] for row in rows} >= {told[5].pk, told[6].pk}
    for row in rows:
        t = truths[row["pair_id"]]
        probability = row.pop("probability")
        if t.ruling:
            assert (probability, row["chosen_side"]) == (None, t.ruling)
        else:
            likely = posterior[t.pair.pk]
            assert row["chosen_side"] == ("first", "second")[int(np.argmax(likely))]
            assert probability == pytest.approx(likely.max(), abs=1e-9)
        t.winner = row["chosen_side"]
        t.chosen, t.rejected = (t.first, t.second) if t.winner == "first" else (t.second, t.first)
        assert [row] == ROWS["trl_dpo"](t)
    assert verify(tmp_path / "ds/trl_dpo") == []


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
