"""The three primitives that carry the engine: `score`, `choose`, `generate`; their arguments, results and refusals.

Every strategy, judge and measure stands on these and on nothing else of a backend. Nothing here imports torch: code
that only asks questions can be read, typed and tested without it. Natural logarithms (nats) throughout.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

# {"role": "system" | "user" | "assistant", "content": …}. A conversation of one message with the role TEXT is continued
# as it stands, without any chat template: this is how a base model is asked (URIAL).
Message = dict[str, str]
TEXT = "text"

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
Ids = NDArray[np.int64]

# Called once per step of the work, at least every few seconds; what it raises stops the work (a cancelled run).
Beat = Callable[[], None]

# All tokens of one conversation so far, its prompt's among them, and the (vocabulary,) logits of the next one -> the
# logits from which it is drawn; -inf rules a token out. It may be asked again about the same tokens.
LogitsProcessor = Callable[[Sequence[int], Floats32], Floats32]


class CannotLoad(Exception):
    """A model cannot be used. The text is a sentence that can be shown: what is wrong, where, how to mend it."""


class CannotAnswer(Exception):
    """A loaded model cannot answer this question (too long, not offered, endpoint away). A sentence, as above."""


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn: temperature, then top-k, top-p and min-p, in this order, as transformers does.

    temperature 0 is greedy. top_k 0, top_p 1 and min_p 0 cut nothing. `stop` are texts that end the generation where
    they appear; they are not part of the result. Raises ValueError with a sentence for a value out of range.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    max_tokens: int = 512
    stop: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "stop", tuple(self.stop))  # From JSON it comes as a list.
        for name, low, high in (("temperature", 0, 10), ("top_p", 0, 1), ("min_p", 0, 1)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
                raise ValueError(f"Sampling: {name} is {value!r}. Give a number from {low} to {high}.")
        if self.top_p == 0:
            raise ValueError("Sampling: top_p is 0, which leaves no token. Give a number above 0, up to 1.")
        for name, low, high in (("top_k", 0, 10**6), ("max_tokens", 1, 10**6)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
                raise ValueError(f"Sampling: {name} is {value!r}. Give a whole number from {low} to {high:,}.")
        if not all(isinstance(text, str) and text for text in self.stop):
            raise ValueError("Sampling: stop must be texts of at least one character.")

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Sampling:
        """From the parameters of a run. Raises ValueError with a sentence for an option that is not known."""
        known = [field.name for field in fields(cls)]
        unknown = sorted(set(options) - set(known))
        if unknown:
            raise ValueError(f"Sampling: {', '.join(unknown)} is not known. Known are: {', '.join(known)}.")
        return cls(**options)


@dataclass(frozen=True)
class Top:
    """At each token of a completion, the k tokens that were the most probable there, the most probable first."""

    token_ids: Ids  # (n_tokens, k)
    log_probabilities: Floats  # (n_tokens, k), nats, <= 0, of the whole next-token distribution


@dataclass(frozen=True)
class Scored:
    """The tokens of one completion under the model, given what came before. The end-of-turn token is not among them."""

    token_ids: tuple[int, ...]
    log_probabilities: Floats  # (n_tokens,), nats, <= 0
    entropies: Floats  # (n_tokens,), nats, of the whole next-token distribution from which each token came
    top: Top | None = None  # None unless it was asked for

    @property
    def log_probability(self) -> float:
        """log p(completion | conversation), nats: the sum."""
        return float(self.log_probabilities.sum())


@dataclass(frozen=True)
class Choice:
    """How probable it is that the first generated token is exactly each option; the rest went to other tokens."""

    probabilities: Floats  # (n_options,), each in [0, 1]; they need not sum to 1


@dataclass(frozen=True)
class Partial:
    """A text on its way, as a checkpoint sees it."""

    place: int  # of its conversation
    text: str  # so far, without the prefix
    token_count: int
    done: bool  # It will not get longer.


@dataclass(frozen=True)
class Checkpoint:
    """Who goes on is decided each time that all texts which are not done have `every` tokens more.

    keep: all texts that are still there, those that are done among them, in the order of their places -> the places of
    those that stay. Raises ValueError with a sentence where `every` is no count.
    """

    every: int
    keep: Callable[[Sequence[Partial]], Collection[int]]

    def __post_init__(self) -> None:
        if isinstance(self.every, bool) or not isinstance(self.every, int) or self.every < 1:
            raise ValueError(f"Checkpoint: every is {self.every!r}. Give a whole number of tokens from 1 on.")


@dataclass(frozen=True)
class Generated:
    """One generated text, without the prefix that it was made to continue and without the token that ended the turn.

    The figures are of the model's own distribution (temperature 1, nothing cut), whatever the sampling was, so that
    they can be compared across samplings. They are None where an endpoint offers no log-probabilities, and where no
    token was generated.
    """

    text: str
    token_count: int
    log_probability: float | None  # sum over the tokens, nats
    quantiles: tuple[float, ...] | None  # 11: the 0, .1, … 1 quantiles of the tokens' log-probabilities
    mean_entropy: float | None  # nats per token
    branching: float | None  # log Branching Factor of this sequence alone, nats: see `log_branching`
    truncated_entropies: tuple[float, ...]  # of the first 50 tokens, under the top-p truncated distribution
    truncated_log_probability: float | None  # sum over the tokens, under the same distribution
    finish: Literal["stop", "length"]


class Backend(Protocol):
    """A loaded model. One per worker process; not for use by several threads at once."""

    model: str
    revision: str
    digest: str  # Of a hub model's files; empty for others.
    kind: str  # "transformers_local" | "openai_compatible"
    is_toy: bool  # Its texts must be marked as a toy's wherever they are shown.
    # Tokens that it has read and written since it was opened; a beginning that texts share is read once.
    spent: int

    def score(
        self, items: Sequence[tuple[Sequence[Message], str]], *, top_k: int = 0, beat: Beat | None = None
    ) -> list[Scored]:
        """Each completion's tokens, teacher-forced, given its conversation. In the order of `items`.

        top_k: how many of the most probable tokens are told at each place beside the completion's own; 0 is none.
        Raises CannotAnswer: a text is too long, the model has fewer tokens than top_k, or it is an endpoint.
        """
        ...

    def choose(
        self, items: Sequence[Sequence[Message]], *, options: Sequence[str], beat: Beat | None = None
    ) -> list[Choice]:
        """The options' probabilities as the first token of the answer to each conversation, in one order.

        Callers ask both orders of the candidates; `in_both_orders` puts the two answers together.
        """
        ...

    def choose_after_prefix(
        self, items: Sequence[Sequence[Message]], *, options: Sequence[str], beat: Beat | None = None
    ) -> list[Choice]:
        """The same answers as `choose`, faster where all `items` begin alike.

        The longest common beginning of the rendered conversations, in tokens, is found, computed once, and its KV cache
        is used for all of them. One call per pair and order with the principle-last template: what is shared is then
        the system message, the prompt and both candidates. What is shared is never guessed from the messages, so that
        conversations which share nothing are answered rightly too, only not faster.
        """
        ...

    def generate(
        self,
        conversations: Sequence[Sequence[Message]],
        *,
        sampling: Sampling,
        seeds: Sequence[int],
        prefix: Sequence[str] | None = None,
        logits_processor: Sequence[LogitsProcessor] | None = None,
        checkpoint: Checkpoint | None = None,
        beat: Beat | None = None,
    ) -> Iterator[tuple[int, Generated]]:
        """One text per conversation, as (place in `conversations`, result), in the order in which they are done.

        One seed per conversation: a conversation's text depends on its seed and not on what else is in the batch. For n
        texts per prompt repeat the conversation with n seeds. `prefix` are the beginnings of the assistant's turns.

        logits_processor: one per conversation; it comes before temperature and cuts, and the figures stay those of the
        model's own distribution. checkpoint: what it drops is neither written further nor yielded, since a text that
        was cut off is no answer; and as it may drop what is done too, all come at the end. Where it drops nothing, the
        texts are those without it. Neither depends on what else is in the batch, nor on the memory.

        Raises CannotAnswer: a prompt is too long; or an endpoint, which lets nobody into its drawing, is given either.
        """
        ...


class Rewarder(Protocol):
    """A loaded reward model: it says one number of a whole conversation, and writes nothing."""

    model: str
    revision: str
    digest: str
    kind: str  # "reward_local"
    is_toy: bool

    def rewards(self, conversations: Sequence[Sequence[Message]], *, beat: Beat | None = None) -> list[float]:
        """How good the last answer of each conversation is, in the model's own unit; higher is better. In their order.

        Raises CannotAnswer: one is too long, or has roles that the model does not know.
        """
        ...


# ---- pure figures --------------------------------------------------------------------------------------------------

DECILES = np.linspace(0, 1, 11)

# The truncated distribution of the Branching Factor: the smallest set of tokens that holds this much probability, at
# temperature 1, and always the token that was drawn.
BRANCHING_TOP_P = 0.9
# Up to this many tokens the entropies are averaged, beyond it the negative log-probabilities (METHODS-MORE B3).
BRANCHING_EXACT = 50


def log_branching(truncated_entropies: Sequence[float], truncated_log_probability: float, n_tokens: int) -> float:
    """log Branching Factor of one sequence, nats, >= 0: higher is more alternatives per token.

    Both regimes of "Branching Factor" (TMLR 2025, sample size 1): up to 50 tokens the mean entropy of the truncated
    distributions; beyond, by the asymptotic equipartition property, the mean negative log-probability of the drawn
    tokens under them. exp of it is the Branching Factor, 1 <= BF <= vocabulary.

    truncated_entropies: (min(n_tokens, 50),) nats. truncated_log_probability: sum over all tokens, nats.
    Raises ValueError for an empty sequence: it has none.
    """
    if n_tokens < 1:
        raise ValueError("An empty sequence has no branching factor.")
    if n_tokens <= BRANCHING_EXACT:
        return float(np.mean(truncated_entropies))
    return -truncated_log_probability / n_tokens


def quantiles_of(log_probabilities: Floats | Sequence[float]) -> tuple[float, ...]:
    """The 0, .1, … 1 quantiles (linear interpolation) of (n_tokens,) log-probabilities; n_tokens >= 1."""
    return tuple(float(value) for value in np.quantile(np.asarray(log_probabilities, dtype=float), DECILES))


def in_both_orders(as_given: Choice, swapped: Choice) -> Choice:
    """The two orders of one question put together, for (first, second, anything else …) candidates.

    `as_given`: option 0 stands for the first candidate, option 1 for the second; `swapped`: the other way round. The
    result is the mean of both, seen from the candidates: s_first = (p_A given AB + p_B given BA) / 2 (SELF-JUDGE).
    Antisymmetric: asking with the candidates swapped swaps the result's first two places exactly.
    """
    turned = swapped.probabilities.copy()
    turned[[0, 1]] = turned[[1, 0]]
    return Choice((as_given.probabilities + turned) / 2)


def generated(
    *,
    text: str,
    token_count: int,
    finish: Literal["stop", "length"],
    log_probabilities: Sequence[float] | None,
    entropies: Sequence[float] | None,
    truncated: Sequence[tuple[float, float]] | None,
) -> Generated:
    """A result from its tokens' figures; None for what a backend does not know.

    log_probabilities, entropies: (token_count,) nats. truncated: (entropy, log-probability of the token) per token
    under the top-p truncated distribution, see `truncate`.
    """
    head = tuple(entropy for entropy, _ in truncated[:BRANCHING_EXACT]) if truncated else ()
    total = math.fsum(log_probability for _, log_probability in truncated) if truncated else None
    return Generated(
        text=text,
        token_count=token_count,
        log_probability=math.fsum(log_probabilities) if log_probabilities else None,
        quantiles=quantiles_of(log_probabilities) if log_probabilities else None,
        mean_entropy=math.fsum(entropies) / len(entropies) if entropies else None,
        branching=log_branching(head, total, len(truncated)) if truncated and total is not None else None,
        truncated_entropies=head,
        truncated_log_probability=total,
        finish=finish,
    )
