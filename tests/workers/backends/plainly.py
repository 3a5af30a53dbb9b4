"""What plain transformers says, put together by hand: what the backend's answers are held against."""

from __future__ import annotations

from typing import Any

from workers.backends import Sampling, load_backend

QUESTIONS = [
    "Why is the sky blue?",
    "A",
    "Say in one line what a plumb line is, and what it shows that a level does not show.",
    "Count to ten.",
    "Which answer is right, and by how much?",
    "Is 7 prime? " * 6,
    "Write.",
    "NA",
]
ANSWERS = ["It scatters.", "B", "", "one two three four five six seven", "A A B", "Yes, it is.", "No", "Neither is."]


def load(folder) -> Any:
    return load_backend(name="tiny", kind="transformers_local", folder_or_url=str(folder), device="cpu")


def asked(text):
    return [{"role": "user", "content": text}]


def rendered(local, text):
    """Token ids of a conversation and its generation prompt, put together by hand."""
    tokenizer = local.wording.tokenizer
    whole = f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n"
    return tokenizer(whole, add_special_tokens=False)["input_ids"]


def forward(local, ids):
    """(n_tokens, vocabulary) log-probabilities of one plain pass, alone, without padding, mask or cache."""
    import torch

    with torch.inference_mode():
        return torch.log_softmax(local.network(torch.tensor([ids])).logits[0].double(), dim=-1)


def plain_generate(local, question, *, seed=None, **options):
    import torch

    ids = rendered(local, question)
    if seed is not None:
        torch.manual_seed(seed)
    out = local.network.generate(
        torch.tensor([ids]),
        attention_mask=torch.ones(1, len(ids)),
        pad_token_id=0,
        do_sample=seed is not None,
        **options,
    )
    tokens = out[0, len(ids) :].tolist()
    return [token for token in tokens if token != 2]


def texts(local, questions, *, seeds=None, **options):
    seeds = seeds or [0] * len(questions)
    done = dict(local.generate([asked(q) for q in questions], sampling=Sampling(**options), seeds=seeds))
    assert sorted(done) == list(range(len(questions)))
    return [done[place] for place in range(len(questions))]
