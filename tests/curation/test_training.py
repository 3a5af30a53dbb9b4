"""What a release promises to those who use it: it loads as it is, and a trainer learns from it as it is.

Each runs in a fresh process that may not reach any hub.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from django.core.management import call_command

from curation.releasing import release

pytestmark = pytest.mark.gpu_stack

LOAD = """
import json, sys
from datasets import load_dataset
folder = sys.argv[1]
by_default, by_name = load_dataset(folder), load_dataset(folder, "trl_dpo", split="train")
assert list(by_default) == ["train"]
assert by_default["train"].features == by_name.features
print(json.dumps({"columns": by_name.column_names, "features": str(by_name.features), "rows": list(by_name)}))
"""

TRAIN = """
import json, sys
from datasets import load_dataset
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, set_seed
from trl import DPOConfig, DPOTrainer

folder, out = sys.argv[1:]
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
LlamaForCausalLM(LlamaConfig(
    vocab_size=len(vocabulary), hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
    max_position_embeddings=1024, pad_token_id=0, eos_token_id=1, bos_token_id=1,
)).save_pretrained(out)
rows = load_dataset(folder, split="train")
trainer = DPOTrainer(
    model=LlamaForCausalLM.from_pretrained(out),
    args=DPOConfig(output_dir=out, max_steps=5, per_device_train_batch_size=2, max_length=1024,
                   use_cpu=True, bf16=False, learning_rate=1e-2, report_to="none", save_strategy="no",
                   logging_steps=1, disable_tqdm=True),
    train_dataset=rows,
    processing_class=tokenizer,
)
prepared = trainer.train_dataset[0]
trainer.train()
losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
print(json.dumps({
    "rows": list(rows),
    "steps": trainer.state.global_step,
    "losses": losses,
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
        make_pair(slots=0, first=text, second=f"{text} And more.", tags=["a", "b"][: n % 3])
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


@pytest.mark.usefixtures("same_connection")
def test_a_release_loads_in_a_fresh_process_without_a_hub(project, pairs, tmp_path):
    release(project=project, version="v1", out=tmp_path / "out")
    found = in_a_fresh_process(LOAD, tmp_path / "out", home=tmp_path)
    rows = {row["pair_id"]: row for row in found["rows"]}
    # The fourth has one voice for first and one for both bad: no majority.
    assert list(rows) == [pair.pk for pair in pairs if pair is not pairs[3]]
    for place, pair in enumerate(pairs):
        if place == 3:
            continue
        chosen, rejected = (pair.first, pair.second) if place % 2 else (pair.second, pair.first)
        row = rows[pair.pk]
        assert (row["prompt"], row["chosen"], row["rejected"]) == (
            pair.prompt.messages,
            chosen.messages,
            rejected.messages,
        )
        assert row["tags"] == pair.tags
        assert (row["strength_mean"] is None) == (place == 4)
    assert found["columns"][:3] == ["prompt", "chosen", "rejected"]
    assert rows[pairs[5].pk]["agreement"] == 1.0
    assert rows[pairs[0].pk]["agreement"] is None


@pytest.mark.usefixtures("same_connection")
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
    found = in_a_fresh_process(TRAIN, tmp_path / "out", tmp_path / "model", home=tmp_path)
    assert len(found["rows"]) == done.rows > 500
    for row in found["rows"]:
        mine = row["n_first"] if row["chosen_side"] == "first" else row["n_second"]
        assert 2 * mine > row["n_judgements"]
        assert row["chosen"] != row["rejected"]
    assert found["steps"] == len(found["losses"]) == 5
    # Before the first step model and reference are the same: ln 2. Then it learns.
    assert found["losses"][0] == pytest.approx(0.6931, abs=1e-3)
    assert found["losses"][1:] != found["losses"][:-1]
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
