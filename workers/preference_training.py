"""One DPO training with an adapter, and the losses of pairs that it never sees, at several checkpoints.

A loop of our own in place of TRL's trainer. What is wanted is the loss of every held-out pair at every checkpoint:
TRL's evaluation gives means over a batch, asks the reference again at each step, and beats no lease, so that it could
not be cancelled within seconds. The loss is the one that TRL calls "sigmoid", equation 7 of the paper; the adapter is
peft's.

Log-probabilities are sums over the tokens of a candidate with its end-of-turn token, in nats. On a CPU the same seed
gives the same losses; on CUDA up to the order in which its kernels add.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from peft import LoraConfig, get_peft_model

from curation.metrics.difficulty import dpo_loss
from workers.backends.decoding import is_out_of_memory
from workers.backends.primitives import Beat, CannotAnswer
from workers.backends.slots import left_padded

# Tokens of one pass forwards and back, padding included. Too much is found out by running out of memory.
TOKENS = {"cuda": 16_384, "cpu": 4_096}
LARGEST_GRADIENT = 1.0

Row = tuple[list[int], list[int]]


@dataclass(frozen=True)
class Tokens:
    """A pair as the model reads it: the prompt, and the two candidates with their end-of-turn token."""

    prompt: list[int]
    chosen: list[int]
    rejected: list[int]

    @property
    def rows(self) -> tuple[Row, Row]:
        return (self.prompt, self.chosen), (self.prompt, self.rejected)

    @property
    def width(self) -> int:
        return len(self.prompt) + max(len(self.chosen), len(self.rejected))


@dataclass(frozen=True)
class Recipe:
    """How an adapter is trained. The defaults of the adapter are the paper's (Gao et al., arXiv 2502.09650)."""

    beta: float
    learning_rate: float
    batch: int
    rank: int = 16
    scale: int = 16
    dropout: float = 0.05
    warmup: float = 0.1


class Trainer:
    """A loaded model, and the log-probabilities under it before any training: the reference of every training."""

    def __init__(self, network: Any, pairs: Sequence[Tokens], *, beat: Beat) -> None:
        """Scores all pairs once.

        Raises:
            CannotAnswer: a single pair does not fit into the memory.
        """
        self.network, self.pairs, self.beat = network, pairs, beat
        self.tokens = TOKENS.get(network.device.type, TOKENS["cpu"])
        self.reference = self.scores(range(len(pairs)))

    def held_out_losses(
        self,
        *,
        train: NDArray[np.int64],
        held_out: NDArray[np.int64],
        steps: Sequence[int],
        recipe: Recipe,
        seed: int,
        passed: Callable[[int], None] = lambda number: None,
    ) -> NDArray[np.float64]:
        """Train a new adapter on the pairs `train`, and give the losses of `held_out` after each of `steps`.

        Args:
            train, held_out: places in `pairs`.
            steps: after how many steps of the optimiser, ascending; the last is the length of the training.
            recipe: how.
            seed: of the adapter's first weights, the order of the pairs and the dropout.
            passed: told how many pairs were trained on or scored, as they are.

        Returns:
            The DPO loss of each pair, shape (n_held_out, n_steps), in nats.

        Raises:
            CannotAnswer: a single pair does not fit into the memory; or the training gave no numbers.
        """
        rng = np.random.default_rng(seed)
        found = np.full((len(held_out), len(steps)), np.nan)
        with self._adapter(recipe, seed) as network:
            weights = [one for one in network.parameters() if one.requires_grad]
            optimiser = torch.optim.AdamW(weights, lr=recipe.learning_rate, weight_decay=0.0)
            rate = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step, steps[-1], recipe.warmup))
            batches = _batches(train, recipe.batch, rng)
            for step in range(1, steps[-1] + 1):
                batch = next(batches)
                network.train()
                self._learn(network, batch, recipe)
                torch.nn.utils.clip_grad_norm_(weights, LARGEST_GRADIENT)
                optimiser.step()
                optimiser.zero_grad()
                rate.step()
                passed(len(batch))
                if step in steps:
                    network.eval()
                    now = self.scores(held_out, network=network)
                    reference = self.reference[held_out]
                    losses = dpo_loss(now[:, 0], now[:, 1], reference[:, 0], reference[:, 1], beta=recipe.beta)
                    found[:, list(steps).index(step)] = losses
                    passed(len(held_out))
        if not np.isfinite(found).all():
            raise CannotAnswer("The training gave losses that are not finite. Lower the learning rate.")
        return found

    @contextmanager
    def _adapter(self, recipe: Recipe, seed: int) -> Iterator[Any]:
        """The model with a new adapter on all of its linear layers; without it again at the end, whatever happens."""
        device = self.network.device
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(seed)
            config = LoraConfig(
                r=recipe.rank,
                lora_alpha=recipe.scale,
                lora_dropout=recipe.dropout,
                target_modules="all-linear",
                task_type="CAUSAL_LM",
            )
            with warnings.catch_warnings():
                # peft still reads a property that transformers has renamed.
                warnings.filterwarnings("ignore", category=FutureWarning, message=".*is_gradient_checkpointing")
                adapted = get_peft_model(self.network, config)
            try:
                yield adapted
            finally:
                self.network = adapted.unload().eval()

    def _learn(self, network: Any, batch: Sequence[int], recipe: Recipe) -> None:
        """The gradients of one batch, in as many passes as the memory asks for."""

        def learn() -> None:
            network.zero_grad()
            for places in self._pieces(batch):
                self._add_gradients(network, places, len(batch), recipe)

        self._as_memory_allows(learn)

    def _add_gradients(self, network: Any, places: Sequence[int], size: int, recipe: Recipe) -> None:
        rows = [row for place in places for row in self.pairs[place].rows]
        now = log_probabilities(network, rows).view(-1, 2)
        reference = torch.tensor(self.reference[list(places)], device=now.device, dtype=now.dtype)
        moved = now - reference
        z = recipe.beta * (moved[:, 0] - moved[:, 1])
        (-torch.nn.functional.logsigmoid(z).sum() / size).backward()  # type: ignore[no-untyped-call]

    def scores(self, places: Sequence[int] | NDArray[np.int64], *, network: Any = None) -> NDArray[np.float64]:
        """Log-probabilities of the chosen and the rejected candidate of each place, shape (n_places, 2)."""
        asked = [int(place) for place in places]
        answers: dict[int, NDArray[np.float64]] = {}

        def ask() -> None:
            for some in self._pieces([place for place in asked if place not in answers]):
                rows = [row for place in some for row in self.pairs[place].rows]
                told = log_probabilities(network or self.network, rows).view(-1, 2).double().cpu().numpy()
                answers.update(zip(some, told, strict=True))

        with torch.no_grad():
            self._as_memory_allows(ask)
        return np.array([answers[place] for place in asked]).reshape(len(asked), 2)

    def _pieces(self, places: Sequence[int]) -> Iterator[list[int]]:
        """Pairs of like length that fit into one pass; fewer of them once the memory did not suffice."""
        left = sorted((int(place) for place in places), key=lambda place: -self.pairs[place].width)
        while left:
            self.beat()
            count = max(1, self.tokens // (2 * self.pairs[left[0]].width))
            piece, left = left[:count], left[count:]
            yield piece

    def _as_memory_allows(self, work: Callable[[], None]) -> None:
        """Do `work`, again with half as many tokens to a pass for as long as the memory does not suffice."""
        widest = 2 * max((one.width for one in self.pairs), default=1)
        while True:
            try:
                return work()
            except (RuntimeError, torch.OutOfMemoryError) as error:
                if not is_out_of_memory(error):
                    raise
            if self.tokens <= widest:
                raise CannotAnswer(
                    f"The memory of {self.network.device} does not suffice for a pair of {widest // 2:,} tokens. "
                    "Lower max_length, or use a smaller model."
                )
            self.tokens = max(widest, self.tokens // 2)
            if torch.cuda.is_available():
                torch.cuda.empty_cache()


def log_probabilities(network: Any, rows: Sequence[Row]) -> torch.Tensor:
    """The sum over each row's second part, given its first: shape (n_rows,), nats, float32, with gradients."""
    device = network.device
    keep = max(len(completion) for _, completion in rows)
    batch = left_padded([prompt + completion for prompt, completion in rows], device=device)
    logits = network(**batch, use_cache=False, logits_to_keep=keep + 1).logits[:, :-1].float()
    wanted = batch["input_ids"][:, -keep:]
    columns = torch.arange(keep, device=device)[None]
    counts = torch.tensor([[keep - len(completion)] for _, completion in rows], device=device)
    each = torch.log_softmax(logits, dim=-1).gather(2, wanted[..., None])[..., 0]
    return torch.where(columns >= counts, each, 0.0).sum(dim=1)


def _rate(step: int, steps: int, warmup: float) -> float:
    """The share of the learning rate: a linear rise, then half a cosine down to nothing."""
    rise = math.ceil(warmup * steps)
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))


def _batches(places: NDArray[np.int64], size: int, rng: np.random.Generator) -> Iterator[list[int]]:
    """Batches without end: each round in a new order, what is left of a round opens the next."""
    waiting: list[int] = []
    while True:
        while len(waiting) < size:
            waiting += rng.permutation(places).tolist()
        yield waiting[:size]
        waiting = waiting[size:]
