"""A preference that a tiny model can learn: the better candidate is made of the letters a to f, the other of u to z."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def save_model(folder: Path, *, width: int = 64) -> Path:
    """A Llama of two layers with random weights; every character is a token."""
    import torch
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    signs = ["<end>", "<user>", "<assistant>", "<unknown>", *LETTERS, *"0123456789", " ", "?", "."]
    inner = Tokenizer(models.WordLevel({sign: number for number, sign in enumerate(signs)}, unk_token="<unknown>"))
    inner.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    inner.decoder = decoders.Fuse()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, eos_token="<end>", additional_special_tokens=["<user>", "<assistant>"]
    )
    tokenizer.chat_template = (
        "{% for message in messages %}{{ '<user>' if message['role'] == 'user' else '<assistant>' }}"
        "{{ message['content'] }}<end>{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
    )
    config = LlamaConfig(
        vocab_size=len(signs),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=128,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=0,
    )
    torch.manual_seed(0)
    LlamaForCausalLM(config).eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_pairs(project: Any, number: int, *, flipped: float = 0.2, seed: int = 1) -> dict[int, bool]:
    """So many pairs whose source prefers the letters a to f, but for the share that is flipped: {pair: is flipped}.

    Which candidate stands first is drawn, so that its place says nothing. Half of the letters of both are of the middle
    of the alphabet: a single letter does not give a candidate away.
    """
    from annotation.models import Candidate, Pair, Prompt

    rng = np.random.default_rng(seed)
    turned = rng.permutation(np.arange(number) < round(flipped * number))
    made: dict[int, bool] = {}
    for place in range(number):
        messages = [{"role": "user", "content": f"what is {place}?"}]
        digest = hashlib.sha256(str(messages).encode()).digest()
        prompt = Prompt.objects.create(project=project, messages=messages, digest=digest)
        good, bad = _word(rng, "abcdef"), _word(rng, "uvwxyz")
        better, worse = (bad, good) if turned[place] else (good, bad)
        is_first = bool(rng.random() < 0.5)
        texts = (better, worse) if is_first else (worse, better)
        sides = [
            Candidate.objects.create(
                prompt=prompt,
                messages=[{"role": "assistant", "content": text}],
                digest=hashlib.sha256(f"{place}{side}{text}".encode()).digest(),
                model="source",
                characters=len(text),
            )
            for side, text in enumerate(texts)
        ]
        label = "first" if is_first else "second"
        pair = Pair.objects.create(
            project=project, prompt=prompt, first=sides[0], second=sides[1], rank=place + 1, label=label
        )
        made[pair.pk] = bool(turned[place])
    return made


def _word(rng: np.random.Generator, own: str) -> str:
    drawn = [*rng.choice(list(own), 6), *rng.choice(list("ghijklmnopqrst"), 6)]
    return "".join(rng.permutation(drawn).tolist())


def auroc(values: NDArray[np.float64], is_positive: NDArray[np.bool_]) -> float:
    """The share of (positive, other) couples in which the positive one has the higher value; ties count half."""
    positive, other = values[is_positive][:, None], values[~is_positive][None]
    return float((positive > other).mean() + (positive == other).mean() / 2)
