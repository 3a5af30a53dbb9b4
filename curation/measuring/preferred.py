"""Which candidate of each pair is the better one, for measures that ask a model how hard that is to learn."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from annotation.errors import Refused
from annotation.models import Pair, Project
from config.celery import GPU
from curation import arrays
from curation.criteria import in_play
from curation.measuring.request import Request, setting

SAYS = ("judgements", "source")
AT_ONCE = 500


@dataclass(frozen=True, kw_only=True)
class ModelRequest(Request):
    """A measure that asks a model of the register about pairs with a better candidate."""

    queue: ClassVar[str] = GPU
    without: ClassVar[tuple[str, ...]] = ("bootstrap",)
    # Whether the model is one that says how good an answer is, or one that writes.
    rewards: ClassVar[bool] = False
    lacks_a_model: ClassVar[str] = "Name the model that is to be trained: --set model=NAME, one of the page of models."

    model: str = setting("", says="a registered model; the one that is to be trained")
    preference: str = setting(
        "judgements", says="judgements: what more than half of them prefer; source: the label that came with the pair"
    )
    max_length: int = setting(1024, says="tokens of a prompt and a candidate; what is beyond is cut off")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.preference not in SAYS:
            raise Refused(f"The setting preference is {' or '.join(SAYS)}, not {self.preference!r}.")
        if not 16 <= self.max_length <= 1_000_000:
            raise Refused(f"max_length is 16 to 1000000 tokens, not {self.max_length}.")


@dataclass(frozen=True)
class Preferred:
    """Pairs with a better candidate, in the order of their numbers. All arrays have the shape (n_pairs,).

    Attributes:
        pair, prompt: their numbers.
        first: whether the pair's first candidate is the better one.
        left_out: how many pairs have none, by reason.
    """

    pair: NDArray[np.int64]
    prompt: NDArray[np.int64]
    first: NDArray[np.bool_]
    left_out: dict[str, int]

    def __len__(self) -> int:
        return len(self.pair)

    def digest(self, revision: str) -> str:
        """Of the pairs, their better candidates, and the model's revision: 64 hexadecimal digits."""
        found = hashlib.sha256(revision.encode())
        for column in (self.pair.astype("<i8"), self.first.astype("u1")):
            found.update(column.tobytes())
        return found.hexdigest()

    def only(self, keep: NDArray[np.bool_], *, why: str) -> Preferred:
        """Those that are kept; the others are counted as left out for this reason."""
        left = self.left_out | {why: int((~keep).sum())}
        return Preferred(self.pair[keep], self.prompt[keep], self.first[keep], left)

    def rows(self) -> Iterator[tuple[Pair, bool]]:
        """Each pair with its texts, and whether its first candidate is the better one; read in pieces."""
        for at in range(0, len(self), AT_ONCE):
            numbers = self.pair[at : at + AT_ONCE].tolist()
            loaded = Pair.objects.select_related("prompt", "first", "second").in_bulk(numbers)
            yield from ((loaded[one], bool(is_first)) for one, is_first in zip(numbers, self.first[at:], strict=False))


def preferred_pairs(*, project: Project, asked: ModelRequest) -> Preferred:
    """The pairs that more than half of the judgements, or their source, decide. Ties decide nothing.

    Raises:
        Refused: there is none.
    """
    facts = arrays.pair_facts(project=project, voices=asked.voices, where=in_play(asked.where))
    asked_of = facts.passes.all(axis=0)
    if asked.preference == "source":
        first, second = facts.label == arrays.LABELS["first"], facts.label == arrays.LABELS["second"]
        silent = facts.label == arrays.LABELS[""]
    else:
        first, second = (2 * facts.counts[:, column] > facts.judgements for column in (0, 1))
        silent = facts.judgements == 0
    decided = first | second
    unusable = facts.identical | facts.empty
    keep = asked_of & decided & ~unusable
    left_out = {
        "not judged" if asked.preference == "judgements" else "without a label": asked_of & silent,
        "tied": asked_of & ~silent & ~decided,
        "identical or empty": asked_of & decided & unusable,
    }
    counted = {why: int(which.sum()) for why, which in left_out.items()}
    if not keep.any():
        said = ", ".join(f"{count} {why}" for why, count in counted.items())
        raise Refused(f"No pair has a better candidate ({said}). Let people judge, or set preference=source.")
    return Preferred(facts.pair[keep], facts.prompt[keep], first[keep], counted)


def halves_of(prompts: Sequence[int] | NDArray[np.int64], *, seed: int, halves: int) -> NDArray[np.int64]:
    """The half of each pair, 0 to `halves` - 1, shape (n_pairs,). Pairs of one prompt are in one half.

    The paper's code deals out rows. Pairs of one prompt share candidates, so that one of them in training would be no
    held-out loss of the other.
    """
    numbers, place = np.unique(np.asarray(prompts), return_inverse=True)
    order = np.random.default_rng(seed).permutation(len(numbers))
    half = np.empty(len(numbers), dtype=np.int64)
    for number, part in enumerate(np.array_split(order, halves)):
        half[part] = number
    dealt: NDArray[np.int64] = half[place]
    return dealt
