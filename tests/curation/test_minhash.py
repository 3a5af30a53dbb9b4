from __future__ import annotations

import numpy as np

from curation.minhash import PIECE, SIZE, repeated, signatures


def sign(texts, seed=0):
    return signatures([text.encode() for text in texts], rng=np.random.default_rng(seed))


def similarity(one, other):
    """Jaccard's, from the sets themselves."""
    sets = [{text[n : n + PIECE] for n in range(len(text) - PIECE + 1)} for text in (one, other)]
    return len(sets[0] & sets[1]) / len(sets[0] | sets[1])


def test_equal_places_estimate_the_similarity_of_the_sets():
    rng = np.random.default_rng(1)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    for shared in (0, 200, 500, 900):
        same = "".join(rng.choice(letters, shared))
        one, other = (same + "".join(rng.choice(letters, 1000 - shared)) for _ in range(2))
        estimates = []
        for seed in range(20):
            first, second = sign([one, other], seed=seed)
            estimates.append((first == second).mean())
        # Twenty signatures of 64 numbers: the standard error is at most .5 / sqrt(1280) = .014.
        assert abs(np.mean(estimates) - similarity(one, other)) < 0.05


def test_the_same_seed_gives_the_same_signature_and_another_one_another():
    assert (sign(["a text of some length"]) == sign(["a text of some length"])).all()
    assert (sign(["a text of some length"]) != sign(["a text of some length"], seed=1)).any()


def test_case_and_space_make_no_difference_and_short_texts_are_signed_too():
    one, other = sign(["Hello,  World, how ARE you?", "hello, world,\nhow are you?"])
    assert (one == other).all()
    short = sign(["", "x", "y"])
    assert short.shape == (3, SIZE)
    assert (short[1] != short[2]).any()


def test_the_earlier_stays_and_the_later_goes():
    long = "the quick brown fox jumps over the lazy dog and runs away into the dark wood beyond the hills " * 3
    texts = [long, "nothing like it at all, not in a single word or even part of one", long + "!", long]
    assert repeated(sign(texts), threshold=0.8).tolist() == [False, False, True, True]
    assert repeated(sign(texts), threshold=1.0).tolist()[3] is True
    assert repeated(sign([]), threshold=0.8).tolist() == []


def test_what_is_only_half_alike_stays():
    rng = np.random.default_rng(2)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz "))
    same = "".join(rng.choice(letters, 500))
    texts = [same + "".join(rng.choice(letters, 500)) for _ in range(2)]
    assert similarity(*texts) < 0.4
    assert not repeated(sign(texts), threshold=0.8).any()
