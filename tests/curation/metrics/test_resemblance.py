from __future__ import annotations

import numpy as np
import pytest

from curation.metrics import resemblance
from curation.metrics.resemblance import min_hashes, near_duplicate_share, resembling, shingles

ALPHABET = list("abcdefghijklmnopqrstuvwxyz     ")


def passage(rng, length=400):
    return "".join(rng.choice(ALPHABET, size=length))


def test_planted_duplicates_are_found_and_nothing_else():
    rng = np.random.default_rng(0)
    texts = [passage(rng) for _ in range(200)]
    planted = np.zeros(220, dtype=bool)
    for copy in range(20):
        text = texts[copy]
        changed = text[:200] + "CHANGED" + text[200:]
        planted[[copy, len(texts)]] = True
        texts.append(changed)
    assert resembling(texts, rng=np.random.default_rng(1)).tolist() == planted.tolist()
    # Their similarity is above .9, and below 1.
    assert not resembling(texts, rng=np.random.default_rng(1), threshold=0.999).any()
    assert near_duplicate_share(texts, rng=np.random.default_rng(1)).value == pytest.approx(40 / 220)


def test_case_and_white_space_make_no_difference():
    texts = ["Hello   world,\nhow are you", "hello world, HOW ARE YOU", "another text altogether"]
    assert resembling(texts, rng=np.random.default_rng(0), threshold=1).tolist() == [True, True, False]


def test_empty_texts_are_no_duplicates_and_short_ones_can_be():
    found = resembling(["", "  \n", "ok", "OK", "no"], rng=np.random.default_rng(0))
    assert found.tolist() == [False, False, True, True, False]
    assert resembling([], rng=np.random.default_rng(0)).tolist() == []
    assert near_duplicate_share(["one"], rng=np.random.default_rng(0)).reason == "There are fewer than two texts."


def test_any_text_has_hashes_that_are_the_same_every_time():
    assert shingles("plumb line").tolist()[:2] == shingles("Plumb  line").tolist()[:2]
    # Pinned: they are the same in every process and on every machine.
    assert int(shingles("ok")[0]) == 14477190222558891381
    assert len(shingles("🙂" * 9)) == 1
    assert len(shingles("\ud800 broken")) > 0


def test_signatures_agree_as_often_as_the_sets_are_similar():
    rng = np.random.default_rng(5)
    pool = rng.integers(0, 2**63, size=2400, dtype=np.uint64)
    for common in (0, 800, 1600):
        one, other = pool[:1600], np.concatenate([pool[:common], pool[1600 : 3200 - common]])
        both = len(np.intersect1d(one, other))
        similarity = both / (len(one) + len(other) - both)
        signatures = min_hashes([one, other], rng=np.random.default_rng(0), n_hashes=1024)
        assert (signatures[0] == signatures[1]).mean() == pytest.approx(similarity, abs=0.05)


def test_hashes_that_do_not_divide_into_bands_are_refused():
    with pytest.raises(ValueError, match="do not divide"):
        resembling(["a", "b"], rng=np.random.default_rng(0), n_hashes=100, bands=32)


# ---- a crowd that is alike ------------------------------------------------------------------------------------------


@pytest.fixture
def compared(monkeypatch):
    """How many signatures were compared, and how many sets of runs, since the test began: `compared()`."""
    counts = {"signatures": 0, "sets": 0}
    agreement, jaccard = resemblance._agreement, resemblance._jaccard

    def agree(signatures, one, other):
        counts["signatures"] += len(one)
        return agreement(signatures, one, other)

    def overlap(one, other):
        counts["sets"] += 1
        return jaccard(one, other)

    monkeypatch.setattr(resemblance, "_agreement", agree)
    monkeypatch.setattr(resemblance, "_jaccard", overlap)
    return lambda: dict(counts)


def test_equal_texts_are_looked_at_once(compared):
    texts = ["I am sorry, but I cannot help you with that matter."] * 20_000 + ["Here is how it is done."]
    found = resembling(texts, rng=np.random.default_rng(0))
    assert found[:-1].all()
    assert not found[-1]
    assert compared() == {"signatures": 0, "sets": 0}


def test_texts_of_one_pattern_are_each_compared_until_one_is_found(compared):
    texts = [
        f"{'I am sorry, but as a model of language I cannot help you with that matter. ' * 2}{n}" for n in range(3000)
    ]
    assert resembling(texts, rng=np.random.default_rng(0)).all()
    # Each needs one; all with all would be 4.5 million.
    assert compared()["sets"] <= len(texts)
    assert compared()["signatures"] <= 32 * len(texts)


def test_a_crowd_that_is_half_alike_is_compared_with_its_neighbours_only(compared):
    rng = np.random.default_rng(3)
    # Half of the runs are common to all, so that nearly every two agree on some band, and no two are near duplicates.
    common = passage(rng, 300)
    texts = [common + passage(rng, 120) for _ in range(600)]
    texts.append(texts[7] + "!")
    found = resembling(texts, rng=np.random.default_rng(0))
    assert np.nonzero(found)[0].tolist() == [7, 600]
    assert compared()["signatures"] <= len(texts) * 32 * resemblance.NEIGHBOURS
    assert compared()["sets"] <= 2 * resemblance.MOST_TRIES * len(texts)


def test_what_was_tried_in_vain_is_not_tried_again(compared):
    rng = np.random.default_rng(4)
    common = passage(rng, 500)
    # Similarity about .76: below the threshold, and near enough to look like more.
    texts = [common + passage(rng, 75) for _ in range(40)]
    assert not resembling(texts, rng=np.random.default_rng(0)).any()
    assert 40 <= compared()["sets"] <= 40 * 39 / 2


def test_neighbours_are_enough_where_many_crowds_meet():
    rng = np.random.default_rng(6)
    common = passage(rng, 200)
    bodies = [common + passage(rng, 200) for _ in range(300)]
    texts = [body + ending for body in bodies for ending in ("", ".")] + [
        common + passage(rng, 200) for _ in range(100)
    ]
    found = resembling(texts, rng=np.random.default_rng(0))
    assert found[:600].all()
    assert not found[600:].any()
