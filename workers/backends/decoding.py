"""Drawing tokens: sequences in slots, each with its own random numbers, new ones let in as others end.

A finished sequence leaves its slot at once, so that no row computes padding until the longest is done; the next in line
takes its place. transformers' continuous batching does that too, but draws for the whole batch from one generator: a
text would depend on its neighbours. Why there is one of our own: docs/design/0005-engine.md.

Where a checkpoint is asked for, every sequence is held at the same number of tokens until all are there. Those that are
held keep their slots while nobody else needs them; who had to leave reads its own tokens again, and goes on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from transformers import DynamicCache
from transformers.generation.logits_process import (
    MinPLogitsWarper,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from workers.backends.primitives import BRANCHING_TOP_P, CannotAnswer, LogitsProcessor, Sampling
from workers.backends.slots import Slots, left_padded, step_mask

# So many tokens fit into the memory before it was ever too small.
ANY_NUMBER = 10**18
# At a checkpoint: those that are held, to the places of those that go on.
Choose = Callable[[Sequence["Drawing"]], Collection[int]]

# The logits of so many numbers are kept until their figures are computed together; in float32, 8 MB.
FIGURES_AT_ONCE = 2**21


@dataclass
class Drawing:
    """One sequence on its way. Its random numbers come from `seed` alone."""

    place: int
    prompt: list[int]
    seed: int
    room: int  # how many tokens it may get
    processor: LogitsProcessor | None = None
    mark: int = ANY_NUMBER  # with so many tokens it is held until a checkpoint lets it go on
    read: int = 0  # tokens of it that were read before its first one and after it lost its slot
    tokens: list[int] = field(default_factory=list)
    log_probabilities: list[float] = field(default_factory=list)
    entropies: list[float] = field(default_factory=list)
    truncated: list[tuple[float, float]] = field(default_factory=list)
    finish: Literal["", "stop", "length"] = ""
    generator: torch.Generator | None = None

    @property
    def is_held(self) -> bool:
        return not self.finish and len(self.tokens) >= self.mark

    @property
    def so_far(self) -> list[int]:
        return self.prompt + self.tokens

    def begin(self, device: torch.device) -> None:
        """From the start, also after it was thrown out: the same seed gives the same tokens."""
        self.generator = torch.Generator(device=device).manual_seed(self.seed)
        self.tokens, self.log_probabilities, self.entropies, self.truncated = [], [], [], []
        self.finish = ""


# ---- one step ------------------------------------------------------------------------------------------------------


def figures(logits: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """Of each drawn token, (4, n_rows): log-probability, entropy, truncated entropy, truncated log-probability.

    logits (n_rows, vocabulary), float32, of the model itself; tokens (n_rows,). The truncated distribution is the
    smallest set of the most probable tokens that holds BRANCHING_TOP_P, and the drawn token, made to sum to 1. (Of
    tokens that are exactly as probable as the last one in the set, whichever was drawn counts as that one.)
    """
    # Clamped: a token that a model rules out (-inf) would make 0 x inf of its share of the entropy.
    logs = torch.log_softmax(logits, dim=-1).clamp(min=-1e4)
    probabilities = logs.exp()
    entropy = -(probabilities * logs).sum(dim=-1)
    drawn = logs.gather(1, tokens[:, None])[:, 0]
    most = _descending(probabilities)
    kept = most.cumsum(dim=-1) - most < BRANCHING_TOP_P
    inside = most * kept
    last = most.gather(1, kept.sum(dim=-1, keepdim=True) - 1)[:, 0]
    outsider = drawn.exp() * (drawn.exp() < last)
    mass = inside.sum(dim=-1) + outsider
    # log mass - sum p log p / mass; where p was set to 0, so is p log p.
    surprise = -(inside * most.log().clamp(min=-1e4)).sum(dim=-1) - outsider * drawn
    return torch.stack([drawn, entropy, mass.log() + surprise / mass, drawn - mass.log()])


def _descending(values: torch.Tensor) -> torch.Tensor:
    """(n_rows, n) sorted from the largest. On a CPU numpy's sort is some twenty times as fast as torch's."""
    if values.device.type != "cpu":
        return values.sort(dim=-1, descending=True).values
    ascending = np.sort(values.numpy(), axis=-1)
    return torch.from_numpy(ascending[:, ::-1].copy())


def warpers(sampling: Sampling) -> list[Any]:
    """transformers' own, in its own order."""
    used: list[Any] = []
    if sampling.temperature not in (0, 1):
        used.append(TemperatureLogitsWarper(float(sampling.temperature)))
    if sampling.top_k:
        used.append(TopKLogitsWarper(sampling.top_k))
    if sampling.top_p < 1:
        used.append(TopPLogitsWarper(float(sampling.top_p)))
    if sampling.min_p:
        used.append(MinPLogitsWarper(float(sampling.min_p)))
    return used


def draw(logits: torch.Tensor, *, sampling: Sampling, generators: Sequence[torch.Generator]) -> torch.Tensor:
    """One token per row, (n_rows,), from (n_rows, vocabulary) logits; each row from its own generator.

    By exponential races, as torch.multinomial does it for one row: with the generator of a row seeded alike, the same
    token as `model.generate` draws for that row alone.
    """
    if sampling.temperature == 0:
        best: torch.Tensor = logits.argmax(dim=-1)
        return best
    for warp in warpers(sampling):
        logits = warp(None, logits)
    probabilities = torch.softmax(logits, dim=-1)
    races = torch.empty_like(probabilities)
    for row, generator in enumerate(generators):
        races[row].exponential_(generator=generator)
    winners: torch.Tensor = (probabilities / races).argmax(dim=-1)
    return winners


def steered(logits: torch.Tensor, drawings: Sequence[Drawing]) -> torch.Tensor:
    """The logits after each drawing's own processor, (n_rows, vocabulary); what is given stays as it is.

    Raises ValueError with a sentence for what a processor may not answer.
    """
    if all(drawing.processor is None for drawing in drawings):
        return logits
    changed = logits.clone()
    for row, drawing in enumerate(drawings):
        if drawing.processor is None:
            continue
        told = np.asarray(drawing.processor(drawing.so_far, logits[row].cpu().numpy().copy()), dtype=np.float32)
        shape = tuple(logits.shape[1:])
        if told.shape != shape:
            raise ValueError(f"A logits processor answered the shape {told.shape}; it was given {shape}.")
        if np.isnan(told).any() or not np.isfinite(told.max()):
            raise ValueError("A logits processor must leave at least one token possible, and give no NaN and no inf.")
        changed[row] = torch.from_numpy(told)
    return changed


# ---- the loop ------------------------------------------------------------------------------------------------------


def is_out_of_memory(error: BaseException) -> bool:
    """CUDA has an exception of its own; a CPU's allocator says it in words."""
    return isinstance(error, torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and "allocate memory" in str(error)
    )


class Decoder:
    """Draws sequences from a model, up to `rows` at a time; fewer of such a length once the memory did not suffice.

    fits: how many tokens of all its sequences, with those that they may still get, the memory was found to hold.
    """

    def __init__(self, model: Any, *, rows: int, prefill_tokens: int, ends: frozenset[int]) -> None:
        self.model, self.rows, self.prefill_tokens, self.ends = model, rows, prefill_tokens, ends
        self.fits = ANY_NUMBER
        self.config = model.config.get_text_config()
        self.pending: list[tuple[torch.Tensor, torch.Tensor, Sequence[Drawing]]] = []

    def run(
        self,
        drawings: Sequence[Drawing],
        *,
        sampling: Sampling,
        stopped: Callable[[Sequence[int]], bool],
        beat: Callable[[], None],
        choose: Choose | None = None,
        every: int = 0,
    ) -> Iterator[Drawing]:
        """Every drawing, as it is done. `stopped` says whether tokens so far end in a text that stops.

        With `choose`, all that are not done are held each time they have `every` tokens more; those that it does not
        name are given up, and never come.

        Raises:
            CannotAnswer: one does not fit alone. Its size says nothing of others': what was learned on the way down to
                it is forgotten.
        """
        fitted = self.fits
        for drawing in drawings:
            drawing.mark = every if choose else ANY_NUMBER
        # The longest first: what does not fit shows at once, and rows of one prefill are of like length.
        waiting = deque(sorted(drawings, key=lambda drawing: -len(drawing.prompt)))
        while waiting:
            active: list[Drawing] = []
            self.pending = []
            seats = max(1, min(self.rows, len(waiting), self.fits // max(map(_most_tokens, waiting))))
            slots = Slots(capacity=seats, device=self.model.device)
            while waiting or active:
                beat()
                if choose and all(drawing.is_held for drawing in (*active, *waiting)):
                    self._let_go_on(choose, slots, waiting, active, every=every)
                    continue
                try:
                    done = self._advance(slots, waiting, active, sampling=sampling, stopped=stopped)
                except (RuntimeError, torch.OutOfMemoryError) as error:
                    if not is_out_of_memory(error):
                        raise
                    break
                yield from done
            if active:
                # Out of memory: those on their way begin again, fewer at a time. Their texts stay the same.
                if torch.cuda.is_available():
                    torch.cuda.empty_cache()
                if seats == 1:
                    self.fits = fitted
                    raise CannotAnswer(self._too_large(active[0]))
                self.fits = seats * max(map(_most_tokens, active)) // 2
                for drawing in active:
                    drawing.begin(self.model.device)
                waiting.extendleft(reversed(active))

    def _too_large(self, one: Drawing) -> str:
        return (
            f"The memory of {self.model.device} does not suffice for one prompt of {len(one.prompt):,} tokens and an "
            f"answer of up to {one.room:,}. Leave it out, ask for fewer tokens, or use a smaller model or a larger "
            "device."
        )

    @torch.inference_mode()
    def _advance(
        self,
        slots: Slots,
        waiting: deque[Drawing],
        active: list[Drawing],
        *,
        sampling: Sampling,
        stopped: Callable[[Sequence[int]], bool],
    ) -> list[Drawing]:
        """Let some in, or draw one token for each that is in. Returns those that are done; their slots are free."""
        going = [row for row, drawing in enumerate(active) if not drawing.is_held]
        # Not every single seat is filled at once: a prefill of several costs little more than of one.
        if _wants_in(waiting) and (not going or slots.capacity - len(active) >= max(1, slots.capacity // 4)):
            came = self._next_in_line(waiting, slots.capacity - len(active))
            active += came
            for drawing in came:
                if drawing.generator is None:
                    drawing.begin(self.model.device)
            logits, filled = self._prefill(came)
            slots.put(filled, [len(drawing.so_far) for drawing in came])
        else:
            logits, came = self._step(slots, active, going), [active[row] for row in going]
        self._take(logits, came, sampling=sampling, stopped=stopped)
        done = [drawing for drawing in reversed(came) if drawing.finish]
        _leave(slots, active, done)
        # Those that are held give up as many seats as others want, and stand behind them.
        short = sum(not drawing.is_held for drawing in waiting) - (slots.capacity - len(active))
        gone = [drawing for drawing in active if drawing.is_held][: max(0, short)]
        _leave(slots, active, gone)
        waiting.extend(gone)
        return done

    def _let_go_on(
        self, choose: Choose, slots: Slots, waiting: deque[Drawing], active: list[Drawing], *, every: int
    ) -> None:
        """A checkpoint: those that are not chosen are given up, and their slots are free."""
        kept = choose([*active, *waiting])
        with torch.inference_mode():
            _leave(slots, active, [drawing for drawing in active if drawing.place not in kept])
        stay = [drawing for drawing in waiting if drawing.place in kept]
        waiting.clear()
        waiting.extend(sorted(stay, key=lambda drawing: -len(drawing.so_far)))
        for drawing in (*active, *waiting):
            drawing.mark += every

    def _next_in_line(self, waiting: deque[Drawing], seats: int) -> list[Drawing]:
        """As many as there are seats, and as one prefill may hold."""
        came = [waiting.popleft()]
        width = len(came[0].so_far)
        while _wants_in(waiting) and len(came) < seats and (len(came) + 1) * width <= self.prefill_tokens:
            came.append(waiting.popleft())
        return came

    def _prefill(self, came: Sequence[Drawing]) -> tuple[torch.Tensor, DynamicCache]:
        for drawing in came:
            drawing.read += len(drawing.so_far)
        batch = left_padded([drawing.so_far for drawing in came], device=self.model.device)
        # Without its configuration: layers with a window would throw away what the slots keep.
        cache = DynamicCache()
        output = self.model(**batch, past_key_values=cache, use_cache=True, logits_to_keep=1)
        return output.logits[:, -1].float(), cache

    def _step(self, slots: Slots, active: Sequence[Drawing], going: Sequence[int]) -> torch.Tensor:
        """The logits of the rows that go on. One that is held is computed with them and moves no further.

        What its last token leaves in the cache lies where that token will lie once it goes on.
        """
        slots.step()
        output = self.model(
            input_ids=torch.tensor([[drawing.tokens[-1]] for drawing in active], device=slots.device),
            position_ids=slots.at[:, None],
            attention_mask=step_mask(self.config, slots),
            past_key_values=slots.cache,
            use_cache=True,
            logits_to_keep=1,
        )
        slots.stepped(going)
        logits: torch.Tensor = output.logits[:, -1].float()
        return logits if len(going) == len(active) else logits[list(going)]

    def _take(
        self,
        logits: torch.Tensor,
        drawings: Sequence[Drawing],
        *,
        sampling: Sampling,
        stopped: Callable[[Sequence[int]], bool],
    ) -> None:
        generators = [drawing.generator for drawing in drawings if drawing.generator is not None]
        drawn = draw(steered(logits, drawings), sampling=sampling, generators=generators)
        self.pending.append((logits, drawn, drawings))
        for drawing, token in zip(drawings, drawn.tolist(), strict=True):
            if token in self.ends:
                drawing.finish = "stop"
                continue
            drawing.tokens.append(token)
            if stopped(drawing.tokens):
                drawing.finish = "stop"
            elif len(drawing.tokens) >= drawing.room:
                drawing.finish = "length"
        held = sum(len(rows) for _, _, rows in self.pending) * logits.shape[-1]
        if held >= FIGURES_AT_ONCE or any(drawing.finish or drawing.is_held for drawing in drawings):
            self._tell()

    def _tell(self) -> None:
        """The figures of the tokens drawn since the last time: of several steps together, which is quicker."""
        told = figures(torch.cat([logits for logits, _, _ in self.pending]), torch.cat([t for _, t, _ in self.pending]))
        rows = [drawing for _, _, drawings in self.pending for drawing in drawings]
        tokens = [token for _, drawn, _ in self.pending for token in drawn.tolist()]
        self.pending = []
        for drawing, token, row in zip(rows, tokens, told.T.double().tolist(), strict=True):
            if token not in self.ends:
                drawing.log_probabilities.append(row[0])
                drawing.entropies.append(row[1])
                drawing.truncated.append((row[2], row[3]))


def _wants_in(waiting: Sequence[Drawing]) -> bool:
    """Those that are held stand behind all others."""
    return bool(waiting) and not waiting[0].is_held


def _leave(slots: Slots, active: list[Drawing], gone: Sequence[Drawing]) -> None:
    """Free the slots of these; the last row moves into each that is free."""
    for drawing in gone:
        row = next(row for row, one in enumerate(active) if one is drawing)
        slots.free(row)
        active[row] = active[-1]
        active.pop()


def _most_tokens(drawing: Drawing) -> int:
    return len(drawing.prompt) + drawing.room
