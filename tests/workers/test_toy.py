"""The toy model: shipped, small, marked, and built by a script that gives the same bytes."""

from __future__ import annotations

import itertools
import json
import re

import numpy as np
import pytest

from workers import toy
from workers.backends import Sampling, load_backend

pytestmark = pytest.mark.gpu_stack


@pytest.fixture(scope="module")
def shipped():
    return load_backend(name=toy.NAME, kind="transformers_local", folder_or_url=str(toy.FOLDER), device="cpu")


def test_it_is_small_and_says_that_it_is_a_toy(shipped):
    assert shipped.is_toy
    assert "toy" in toy.NAME
    assert json.loads((toy.FOLDER / "config.json").read_text())["is_toy"] is True
    assert sum(file.stat().st_size for file in toy.FOLDER.iterdir()) < 600_000


def test_it_writes_words(shipped):
    """Of the words that it writes, most are words of the texts it was trained on, and no text is like another."""
    known = {word for pair in toy.chats() for text in pair for word in re.findall(r"[a-z]+", text.lower())}
    asked = [[{"role": "user", "content": "Explain in a few words how bread is made."}]] * 8
    got = dict(shipped.generate(asked, sampling=Sampling(temperature=0.7, max_tokens=60), seeds=range(8)))
    texts = [got[place].text for place in range(8)]
    assert len(set(texts)) == 8
    words = [word for text in texts for word in re.findall(r"[a-z]+", text.lower())]
    assert len(words) > 100
    assert np.mean([word in known for word in words]) > 0.6


def test_it_answers_a_judges_question_with_one_of_the_options_and_not_always_the_same(shipped):
    ask = toy.ASKS[0].format(principle="The answer should be right.")
    ends = [answer[-300:] for _, answer in toy.chats()[:24]]
    questions = [
        [{"role": "user", "content": f"## Response 'A':\n\"{a}\"\n\n## Response 'B':\n\"{b}\"\n\n{ask}"}]
        for a, b in itertools.pairwise(ends)
    ]
    said = np.array([choice.probabilities for choice in shipped.choose(questions, options=("A", "B", "NA"))])
    assert (said.sum(axis=1) > 0.9).all()
    assert {0, 1} <= set(said.argmax(axis=1).tolist())


def test_the_script_gives_the_same_model_twice(tmp_path):
    import torch

    torch.manual_seed(99)  # Whatever was drawn before.
    losses = [toy.build(tmp_path / name, steps=2) for name in ("one", "two")]
    assert losses[0] == losses[1] > 0
    for file in (tmp_path / "one").iterdir():
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes(), file.name
    shape = {key: json.loads((tmp_path / "one" / "config.json").read_text())[key] for key in ("vocab_size", "is_toy")}
    assert shape.items() <= json.loads((toy.FOLDER / "config.json").read_text()).items()
