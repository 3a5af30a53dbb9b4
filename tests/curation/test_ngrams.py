from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from curation import ngrams


def embed(texts, seed=0):
    counted = ngrams.counts(texts)
    rarity = ngrams.rarity(ngrams.texts_with(counted), texts=len(texts))
    return ngrams.vectors(counted, rarity=rarity, signs=ngrams.signs(rng=np.random.default_rng(seed)))


def cosine(texts):
    """Of two texts by TF-IDF over the runs themselves, in plain Python, without hashing and without a projection."""
    runs = [[text[n : n + ngrams.RUN] for n in range(len(text) - ngrams.RUN + 1)] for text in texts]
    every = sorted({run for one in runs for run in one})
    within = {run: sum(run in one for one in runs) for run in every}
    table = np.array(
        [
            [
                (1 + np.log(one.count(run))) * (np.log((1 + len(texts)) / (1 + within[run])) + 1) if run in one else 0.0
                for run in every
            ]
            for one in runs
        ]
    )
    table /= np.linalg.norm(table, axis=1, keepdims=True)
    return table @ table.T


def test_cosines_are_those_of_tf_idf_within_the_error_of_the_projection():
    rng = np.random.default_rng(1)
    words = ["plumb", "line", "straight", "wall", "mason", "true", "hangs", "stone", "level", "cord"]
    texts = [" ".join(rng.choice(words, 40)) for _ in range(12)]
    expected = cosine(texts)
    found = []
    for seed in range(30):
        vectors = embed(texts, seed=seed).astype(np.float64)
        found.append(vectors @ vectors.T)
    # Thirty projections to 64: the standard error of the mean is at most about 1.4 / sqrt(64 * 30) = .03.
    assert np.abs(np.mean(found, axis=0) - expected).max() < 0.12
    assert np.std(found, axis=0).max() < 0.25


def test_alike_texts_lie_near_each_other_in_any_script():
    german = "Ein Senklot zeigt, was wirklich gerade steht, und nichts anderes."
    japanese = "下げ振りは、本当にまっすぐなものを示します。それだけです。"
    texts = [german, german.replace("Ein", "Das"), japanese, japanese.replace("本当に", "実に"), "12 + 30 = 42"]
    vectors = embed(texts).astype(np.float64)
    near = vectors @ vectors.T
    assert near[0, 1] > 0.8 > 0.5 > abs(near[0, 2])
    assert near[2, 3] > 0.5 > abs(near[2, 4])


def test_case_and_space_make_no_difference_and_no_text_is_too_short():
    one, other, none, short = embed(["Hello,  World", "hello, world", " \n", "x"])
    assert (one == other).all()
    assert not none.any()
    assert np.linalg.norm(short) == pytest.approx(1)


def test_another_process_gives_the_same_numbers():
    script = (
        "import numpy as np, hashlib\nfrom tests.curation.test_ngrams import embed\n"
        "print(hashlib.sha256(embed(['a plumb line', 'true and straight', 'été']).tobytes()).hexdigest())"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": seed}
        ).stdout
        for seed in ("0", "1")
    }
    assert len(found) == 1
