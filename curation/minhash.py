"""Texts -> which are nearly the same: MinHash over overlapping pieces of text. Pure numpy, seeded.

A. Broder, On the resemblance and containment of documents, 1997; the banding as in Leskovec, Rajaraman and Ullman,
Mining of Massive Datasets, chapter 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

# Bytes of one piece of text, numbers of one signature, and how many of these make one band.
PIECE = 8
SIZE = 64
BAND = 4
# A prime beside which products of two 31-bit numbers fit into 64 bits.
_PRIME = np.uint64((1 << 31) - 1)


def signatures(texts: Sequence[bytes], *, rng: np.random.Generator) -> NDArray[np.uint32]:
    """One signature for each text, shape (n_texts, SIZE).

    The share of equal places of two signatures estimates the Jaccard similarity of their sets of pieces, with a
    standard error of at most .5 / sqrt(SIZE) = .0625. Signatures compare only when they come from generators of one
    seed.
    """
    factors = rng.integers(1, int(_PRIME), size=SIZE, dtype=np.uint64)
    shifts = rng.integers(0, int(_PRIME), size=SIZE, dtype=np.uint64)
    found = np.zeros((len(texts), SIZE), dtype=np.uint32)
    for place, text in enumerate(texts):
        pieces = _pieces(text)
        for start in range(0, len(pieces), 4096):
            mixed = (pieces[start : start + 4096, None] * factors + shifts) % _PRIME
            least = mixed.min(axis=0).astype(np.uint32)
            found[place] = least if start == 0 else np.minimum(found[place], least)
    return found


def _pieces(text: bytes) -> NDArray[np.uint64]:
    """The distinct pieces of a text as numbers below 2**31 - 1; letters' case and the amount of space do not matter."""
    plain = b" ".join(text.lower().split()).ljust(PIECE)
    each = np.lib.stride_tricks.sliding_window_view(np.frombuffer(plain, np.uint8), PIECE)
    numbers = np.ascontiguousarray(each).view("<u8").reshape(-1)
    # The halves are mixed, because a plain remainder of 2**31 - 1 would fold them onto each other.
    mixed = numbers * np.uint64(0x9E3779B97F4A7C15)
    return np.unique((mixed >> np.uint64(33)) % _PRIME)


def repeated(signed: NDArray[np.uint32], *, threshold: float) -> NDArray[np.bool_]:
    """Which texts are nearly the same as an earlier one that stays. Shape (n_texts,).

    Two are compared when they agree on a whole band; at a similarity of .8 that is missed once in 4,000 times.
    `threshold` is the least estimated similarity, 0 to 1.
    """
    count = len(signed)
    gone = np.zeros(count, dtype=bool)
    partners: dict[int, set[int]] = {}
    for start in range(0, SIZE, BAND):
        band = np.ascontiguousarray(signed[:, start : start + BAND])
        _, group = np.unique(band, axis=0, return_inverse=True)
        order = np.argsort(group, kind="stable")
        edges = np.nonzero(np.diff(group[order], prepend=-1, append=-1))[0]
        for begin, end in pairwise(edges):
            if end - begin > 1:
                alike = order[begin:end]
                near = (signed[alike[1:]] == signed[alike[0]]).mean(axis=1) >= threshold
                for later in alike[1:][near].tolist():
                    partners.setdefault(later, set()).add(int(alike[0]))
    for later in sorted(partners):
        gone[later] = any(not gone[earlier] for earlier in partners[later])
    return gone
