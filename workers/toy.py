"""The toy model: a few hundred kilobytes that write word-like text and answer A, B or NA, for the demo.

    python -m workers.toy FOLDER          # trains it anew, in a minute or two

It lies in workers/toy_model/, built by this script from the demo's own texts and nothing else: seeded, so that the same
versions on the same kind of machine give the same bytes. It knows nothing. Its configuration says `is_toy`, and whoever
shows its text says so too. As a judge it was taught one thing, and learned it badly: an answer whose end has figures or
a list wins.

A Mistral of two layers which looks back 256 tokens: what it learns on short texts then holds for long ones.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NAME = "plumbline-toy"
FOLDER = Path(__file__).resolve().parent / "toy_model"
TEXTS = Path(__file__).resolve().parent.parent / "annotation" / "demo"

SEED = 20_261_121
VOCABULARY = 1_400
WINDOW = 256
WIDTH = 224  # tokens of one training row
STEPS = 800
ROWS = 12
# Of each batch, rows that ask to judge.
JUDGING = 6

TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>\n{{ message['content'] }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
SPECIAL = ["<|end|>", "<|system|>", "<|user|>", "<|assistant|>"]
# The ends of questions that judges are asked, in the words of several templates.
ASKS = [
    "## Answer:\n Which AI Response adheres to the Principle \"{principle}\" the most?\n**Answer only with 'A' or 'B'. "
    "Respond with 'NA' if neither response clearly adheres to it more  or if the principle is irrelevant.**",
    '## Principle:\n"{principle}"\n\n## Answer:\n Which AI Response adheres to the Principle the most?\n**Answer only '
    "with 'A' or 'B'. Respond with 'NA' if neither response clearly adheres to it more  or if the principle is "
    "irrelevant.**",
    "## Answer:\n Which AI Response is better?\n**Answer only with 'A' or 'B'. Respond with 'NA' if neither response "
    "is clearly better.**",
]


def chats() -> list[tuple[str, str]]:
    """(prompt, answer) of the demo, each answer once."""
    rows = [json.loads(line) for line in (TEXTS / "pairs.jsonl").read_text(encoding="utf-8").splitlines()]
    found = [(row["messages"][-1]["content"], row[side]) for row in rows for side in ("response_a", "response_b")]
    return [(prompt, answer) for prompt, answer in dict.fromkeys(found) if isinstance(answer, str)]


def principles() -> list[str]:
    lines = (TEXTS / "principles.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["text"] for line in lines]


def verdict(answer: str, generator: Any) -> str:
    """What the toy is taught to say of an answer that stands as B: its end decides, and sometimes nothing does."""
    if generator.random() < 0.12:
        return "NA"
    listed = re.search(r"\d|^\s*[-*|]", answer[-120:], flags=re.M)
    return "B" if listed else "A"


def make_tokenizer(texts: Iterator[str]) -> Any:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[AddedToken(token, special=True) for token in SPECIAL],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|end|>", pad_token="<|end|>", model_max_length=2_048
    )
    fast.chat_template = TEMPLATE
    return fast


def batches(tokenizer: Any, steps: int) -> Iterator[Any]:
    """(ROWS, WIDTH + 1) token ids and the same shape of weights, per step."""
    import numpy as np

    generator = np.random.default_rng(SEED)
    texts = chats()
    talk = [
        tokenizer(f"<|user|>\n{prompt}<|end|>\n<|assistant|>\n{answer}<|end|>\n")["input_ids"]
        for prompt, answer in texts
    ]
    stream = np.array([token for at in generator.permutation(len(talk)) for token in talk[at]])
    says = principles()
    for _ in range(steps):
        ids = np.zeros((ROWS, WIDTH + 1), dtype=np.int64)
        weights = np.zeros((ROWS, WIDTH + 1), dtype=np.float32)
        for row in range(ROWS - JUDGING):
            start = int(generator.integers(len(stream) - WIDTH - 1))
            ids[row], weights[row] = stream[start : start + WIDTH + 1], 1
        for row in range(ROWS - JUDGING, ROWS):
            answer = texts[int(generator.integers(len(texts)))][1]
            ask = ASKS[int(generator.integers(len(ASKS)))]
            ask = ask.format(principle=says[int(generator.integers(len(says)))])
            text = f'{answer[-400:]}"\n\n{ask}<|end|>\n<|assistant|>\n{verdict(answer, generator)}<|end|>'
            question = tokenizer(text)["input_ids"][-WIDTH - 1 :]
            ids[row, -len(question) :] = question
            weights[row, -2] = 100  # The answer. Nothing else of a question is to be learned.
        yield ids, weights


def build(folder: Path, *, steps: int = STEPS) -> float:
    """Train the toy and save it. Returns the mean loss of the last steps, nats per token of text."""
    import torch
    from transformers import MistralConfig, MistralForCausalLM

    torch.manual_seed(SEED)
    said = [text for prompt, answer in chats() for text in (prompt, answer)]
    tokenizer = make_tokenizer(iter([*said, *(ask.replace("{principle}", "") for ask in ASKS), *["A B NA " * 50] * 4]))
    config = MistralConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=160,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        head_dim=16,
        max_position_embeddings=8_192,
        sliding_window=WINDOW,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        is_toy=True,
    )
    network = MistralForCausalLM(config)
    optimiser = torch.optim.AdamW(network.parameters(), lr=4e-3, weight_decay=0.01, betas=(0.9, 0.95))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=6e-3, total_steps=steps, pct_start=0.1)
    losses = []
    for ids, weights in batches(tokenizer, steps):
        tokens, weight = torch.from_numpy(ids), torch.from_numpy(weights)[:, 1:]
        logits = network(tokens[:, :-1]).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten(), reduction="none")
        torch.autograd.backward((loss * weight.flatten()).sum() / weight.sum())
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        schedule.step()
        losses.append(float(loss.detach().view(ROWS, WIDTH)[: ROWS - JUDGING].mean()))
    network.to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return sum(losses[-20:]) / len(losses[-20:])


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("Give the folder to write to: python -m workers.toy FOLDER")
    print(f"{NAME}: {build(Path(sys.argv[1])):.2f} nats per token")
