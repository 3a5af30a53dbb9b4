"""Which texts are nearly the same as another one: MinHash over runs of characters. Pure numbers; seeded.

The work is bounded by the number of texts, whatever they are: equal ones are looked at once, and in a crowd that is
alike each one is compared with its neighbours only.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from curation.metrics.estimates import Estimate
from curation.metrics.labels import Codes

# In a crowd that agrees on a band a text is compared with so many before it and as many after it.
NEIGHBOURS = 64
# So many times a text may look like a near duplicate by its signature and be none, until it is believed to be none.
MOST_TRIES = 32
# Pairs of signatures that are compared at once.
_CHUNK = 1 << 13

_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


def shingles(text: str, *, size: int = 5) -> NDArray[np.uint64]:
    """The different runs of `size` characters of a text, as hashes that are the same in every process; ascending.

    Case and the amount of white space are not looked at. A text shorter than `size` is one run.
    """
    plain = " ".join(text.casefold().split())
    if not plain:
        return np.empty(0, dtype=np.uint64)
    points = np.frombuffer(plain.encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.uint64)
    windows = np.lib.stride_tricks.sliding_window_view(points, min(size, len(points)))
    found = np.zeros(len(windows), dtype=np.uint64)
    for column in range(windows.shape[1]):
        found = _mixed(found ^ (windows[:, column] + np.uint64(0x9E3779B97F4A7C15)))
    return np.unique(found)


def _mixed(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Spreads every bit over the whole number (the finaliser of SplitMix64)."""
    x = (x ^ (x >> np.uint64(30))) * _MIX[0]
    x = (x ^ (x >> np.uint64(27))) * _MIX[1]
    return x ^ (x >> np.uint64(31))


def min_hashes(
    sets: Iterable[NDArray[np.uint64]], *, rng: np.random.Generator, n_hashes: int = 128
) -> NDArray[np.uint64]:
    """MinHash signatures, (n_sets, n_hashes): two sets agree in a place as often as their Jaccard similarity.

    Source: Broder, On the resemblance and containment of documents, 1997.
    """
    keys = rng.integers(0, 2**64, size=n_hashes, dtype=np.uint64)
    signatures = [np.empty((0, n_hashes), dtype=np.uint64)]
    for one in sets:
        signature = np.full((1, n_hashes), np.iinfo(np.uint64).max, dtype=np.uint64)
        # A long text in pieces: the table of its runs and the hashes stays small.
        for start in range(0, len(one), 4096):
            piece = _mixed(one[start : start + 4096, None] ^ keys[None, :]).min(axis=0)
            signature = np.minimum(signature, piece)
        signatures.append(signature)
    return np.concatenate(signatures)


def resembling(
    texts: Sequence[str],
    *,
    threshold: float = 0.8,
    rng: np.random.Generator,
    size: int = 5,
    n_hashes: int = 128,
    bands: int = 32,
) -> NDArray[np.bool_]:
    """Which texts have another one whose runs of characters have a Jaccard similarity of at least `threshold`.

    Two that agree on a band of their MinHash signatures are candidates. Where the signatures also agree often enough,
    their similarity is computed exactly, so that nothing is called a duplicate by chance. Two texts of similarity s
    share no band with probability (1 - s^rows)^bands, rows = n_hashes / bands: at .8 with 32 bands of 4, 5 in 10
    million; and agree too seldom, by four standard errors, once in 30,000 times.

    Texts of equal runs count as one. The others are compared with at most NEIGHBOURS before and after them in each
    band: where more agree on it, in the order of the next hashes. And a text that looked like a near duplicate
    MOST_TRIES times, and was none, is believed to be none.

    Args:
        texts: texts without a character other than white space resemble nothing.
        rng: the same state gives the same candidates.

    Returns:
        (n_texts,).

    Source: Broder, 1997; bands: Leskovec, Rajaraman and Ullman, Mining of massive datasets, section 3.4.
    """
    if n_hashes % bands:
        raise ValueError(f"{n_hashes} hashes do not divide into {bands} bands.")
    # Runs are made again where they are compared: of long texts they would take far more memory than the texts.
    place: dict[bytes, int] = {}
    shown: list[int] = []
    group = np.full(len(texts), -1, dtype=np.int64)
    for number, text in enumerate(texts):
        runs = shingles(text, size=size)
        if not len(runs):
            continue
        digest = hashlib.blake2b(runs.tobytes(), digest_size=16).digest()
        group[number] = place.setdefault(digest, len(shown))
        if group[number] == len(shown):
            shown.append(number)
    has_twin = np.bincount(group[group >= 0], minlength=len(shown)) > 1
    one_each = [texts[number] for number in shown]
    signatures = min_hashes((shingles(text, size=size) for text in one_each), rng=rng, n_hashes=n_hashes)
    _pair_up(one_each, signatures, has_twin, bands=bands, threshold=threshold, size=size)
    found = np.zeros(len(texts), dtype=bool)
    found[group >= 0] = has_twin[group[group >= 0]]
    return found


def _pair_up(
    texts: Sequence[str],
    signatures: NDArray[np.uint64],
    has_twin: NDArray[np.bool_],
    *,
    bands: int,
    threshold: float,
    size: int,
) -> None:
    """Note in `has_twin` which of several different texts have a near duplicate among them."""
    n_hashes = signatures.shape[1]
    rows = n_hashes // bands
    # Four standard errors of the estimate below the threshold.
    enough = threshold - 4 * math.sqrt(threshold * (1 - threshold) / n_hashes)
    tries = np.zeros(len(texts), dtype=np.int64)
    refused: set[tuple[int, int]] = set()
    for start in range(0, n_hashes, rows):
        band = _folded(signatures[:, start : start + rows])
        order = np.lexsort((_folded(signatures[:, [(start + rows) % n_hashes]]), band))
        band = band[order]
        for step in range(1, min(NEIGHBOURS, len(texts) - 1) + 1):
            same = np.nonzero(band[step:] == band[:-step])[0]
            if not len(same):
                break
            one, other = order[same], order[same + step]
            is_open = ~(has_twin[one] & has_twin[other])
            one, other = one[is_open], other[is_open]
            near = _agreement(signatures, one, other) >= enough
            for i, j in zip(one[near].tolist(), other[near].tolist(), strict=True):
                if (has_twin[i] and has_twin[j]) or min(tries[i], tries[j]) >= MOST_TRIES or (i, j) in refused:
                    continue
                if _jaccard(shingles(texts[i], size=size), shingles(texts[j], size=size)) >= threshold:
                    has_twin[[i, j]] = True
                else:
                    tries[[i, j]] += 1
                    refused |= {(i, j), (j, i)}


def _folded(columns: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """One number for each row; equal rows have equal ones."""
    found = np.zeros(len(columns), dtype=np.uint64)
    for column in columns.T:
        found = _mixed(found ^ column)
    return found


def _agreement(signatures: NDArray[np.uint64], one: Codes, other: Codes) -> NDArray[np.float64]:
    """How often the signatures of each two agree: their estimated similarity, (n_pairs,)."""
    found = np.empty(len(one))
    for start in range(0, len(one), _CHUNK):
        part = slice(start, start + _CHUNK)
        found[part] = (signatures[one[part]] == signatures[other[part]]).mean(axis=1)
    return found


def _jaccard(one: NDArray[np.uint64], other: NDArray[np.uint64]) -> float:
    common = len(np.intersect1d(one, other, assume_unique=True))
    return common / (len(one) + len(other) - common)


def near_duplicate_share(texts: Sequence[str], *, rng: np.random.Generator, threshold: float = 0.8) -> Estimate:
    """The share of texts with a near duplicate among the others; lower is more diverse. As `resembling`.

    `n` counts the texts. Undefined: fewer than two.

    Source: Broder, 1997.
    """
    if len(texts) < 2:
        return Estimate.undefined("There are fewer than two texts.", n=len(texts))
    return Estimate(float(resembling(texts, rng=rng, threshold=threshold).mean()), n=len(texts))
