"""Which candidates say the same: identical but for case and white space, or nearly so. Pure numbers.

A prompt has at most some hundred candidates, so the Jaccard similarity of their shingles is computed exactly, on sorted
arrays of hashes. Sketches that estimate it (MinHash) pay from some thousand texts on.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# Words per shingle; and characters, for texts that put no spaces between words.
WORDS = 3
CHARACTERS = 5
# Fewer words than this per hundred characters: the text does not put spaces between words.
SPACED = 4

Shingles = NDArray[np.uint64]


def normalised(text: str) -> str:
    """The text with one way of writing: compatible characters, case and white space folded."""
    return re.sub(r"\s+", " ", unicodedata.normalize("NFKC", text).casefold()).strip()


def shingles(text: str) -> Shingles:
    """The hashes of the shingles of a text, sorted, each once.

    Three words in a row each; of a text without spaces five characters. A text that is shorter than one shingle is one.
    """
    plain = normalised(text)
    words = plain.split()
    if len(words) * 100 >= len(plain) * SPACED:
        parts = [" ".join(words[at : at + WORDS]) for at in range(max(1, len(words) - WORDS + 1))]
    else:
        parts = [plain[at : at + CHARACTERS] for at in range(max(1, len(plain) - CHARACTERS + 1))]
    digests = b"".join(hashlib.blake2b(part.encode(errors="replace"), digest_size=8).digest() for part in set(parts))
    return np.unique(np.frombuffer(digests, dtype=np.uint64))


def jaccard(one: Shingles, other: Shingles) -> float:
    """Shared shingles / all shingles: 0 (nothing in common) to 1 (the same shingles)."""
    shared = len(np.intersect1d(one, other, assume_unique=True))
    return shared / (len(one) + len(other) - shared)


def alike(texts: Sequence[str], *, near: float) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which of the texts are identical, and which are near-identical.

    Args:
        texts: n texts.
        near: the Jaccard similarity from which on two texts are near-identical.

    Returns:
        Two symmetric arrays of shape (n, n): identical once normalised; and at least `near`, identical ones among them.
        The diagonals are true.
    """
    plain = [normalised(text) for text in texts]
    sets = [shingles(text) for text in texts]
    n = len(texts)
    same, close = np.eye(n, dtype=bool), np.eye(n, dtype=bool)
    for i in range(n):
        for j in range(i):
            same[i, j] = same[j, i] = plain[i] == plain[j]
            close[i, j] = close[j, i] = same[i, j] or jaccard(sets[i], sets[j]) >= near
    return same, close
