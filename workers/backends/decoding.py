"""Drawing tokens: sequences in slots, each with its own random numbers, new ones let in as others end.

A finished sequence leaves its slot at once, so that no row computes padding until the longest is done; the next in line
takes its place. transformers' continuous batching does that too, but draws for the whole batch from one generator: a
text would depend on its neighbours. Why there is one of our own: docs/design/0005-engine.md.

Keys and values lie in one buffer per layer, (rows, heads, tokens, width); a sequence's begin at 0 in its row, whatever
its neighbours' lengths, and the mask says how far each row goes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from transformers import DynamicCache
from transformers.cache_utils import Cache, DynamicLayer
from transformers.generation.logits_process import (
    MinPLogitsWarper,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from workers.backends.primitives import BRANCHING_TOP_P, CannotAnswer, Sampling

# So many tokens fit into the memory before it was ever too small.
ANY_NUMBER = 10**18
# The buffers grow by this many tokens at a time, so that a step rarely copies them.
GROWTH = 256
# The logits of so many numbers are kept until their figures are computed together; in float32, 8 MB.
FIGURES_AT_ONCE = 2**21


@dataclass
class Drawing:
    """One sequence on its way. Its random numbers come from `seed` alone."""

    place: int
    prompt: list[int]
    seed: int
    room: int  # how many tokens it may get
    tokens: list[int] = field(default_factory=list)
    log_probabilities: list[float] = field(default_factory=list)
    entropies: list[float] = field(default_factory=list)
    truncated: list[tuple[float, float]] = field(default_factory=list)
    finish: Literal["", "stop", "length"] = ""
    generator: torch.Generator | None = None

    def begin(self, device: torch.device) -> None:
        """From the start, also after it was thrown out: the same seed gives the same tokens."""
        self.generator = torch.Generator(device=device).manual_seed(self.seed)
        self.tokens, self.log_probabilities, self.entropies, self.truncated = [], [], [], []
        self.finish = ""


# ---- the caches ----------------------------------------------------------------------------------------------------


class SlotLayer(DynamicLayer):
    """Keys and values of one layer: row r of the step's batch is written at index `lengths[r]` of its own row."""

    def __init__(self, slots: Slots) -> None:
        super().__init__()
        self.slots = slots

    def update(self, key_states: Any, value_states: Any, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        slots, rows, width = self.slots, len(self.slots.lengths), self.slots.width
        if slots.level:
            self.keys[:rows, :, width - 1] = key_states[:, :, 0]
            self.values[:rows, :, width - 1] = value_states[:, :, 0]
        else:
            self.keys[slots.index[:rows], :, slots.at] = key_states[:, :, 0]
            self.values[slots.index[:rows], :, slots.at] = value_states[:, :, 0]
        return self.keys[:rows, :, :width], self.values[:rows, :, :width]

    def get_seq_length(self) -> int:
        return self.slots.width - 1


class Slots:
    """The buffers of all layers, for up to `capacity` sequences."""

    def __init__(self, *, capacity: int, device: torch.device) -> None:
        self.capacity, self.device = capacity, device
        self.layers: list[SlotLayer] = []
        self.cache = Cache(layers=[])
        self.index = torch.arange(capacity, device=device)
        self.lengths: list[int] = []  # of each row in use, the tokens whose keys are there
        # Of the step under way:
        self.at = self.index[:0]  # (rows,) the lengths: where each row's new token goes
        self.width = 0  # the longest row and its new token
        self.level = True  # all rows are as long

    def put(self, filled: DynamicCache, lengths: Sequence[int]) -> None:
        """Take over the rows of a left-padded prefill as new slots."""
        self._make_room(filled, max(lengths))
        first = len(self.lengths)
        for mine, theirs in zip(self.layers, filled.layers, strict=True):
            for row, length in enumerate(lengths):
                start = theirs.keys.shape[-2] - length
                mine.keys[first + row, :, :length] = theirs.keys[row, :, start:]
                mine.values[first + row, :, :length] = theirs.values[row, :, start:]
        self.lengths.extend(lengths)

    def free(self, row: int) -> None:
        """Give a row up: the last one moves into its place."""
        length = self.lengths.pop()
        last = len(self.lengths)
        if row != last:
            for layer in self.layers:
                layer.keys[row, :, :length] = layer.keys[last, :, :length]
                layer.values[row, :, :length] = layer.values[last, :, :length]
            self.lengths[row] = length

    def step(self) -> None:
        """Make room for one more token in every row, and say where it goes."""
        self.at = torch.tensor(self.lengths, device=self.device)
        self.width, self.level = max(self.lengths) + 1, len(set(self.lengths)) == 1
        self._grow(self.width)

    def stepped(self) -> None:
        self.lengths = [length + 1 for length in self.lengths]

    def _make_room(self, like: DynamicCache, tokens: int) -> None:
        if not self.layers:
            for theirs in like.layers:
                layer = SlotLayer(self)
                for name in ("keys", "values"):
                    _, heads, _, width = getattr(theirs, name).shape
                    shape = (self.capacity, heads, tokens + GROWTH, width)
                    setattr(layer, name, torch.zeros(shape, dtype=theirs.keys.dtype, device=self.device))
                layer.is_initialized = True
                self.layers.append(layer)
            self.cache = Cache(layers=list(self.layers))
        self._grow(tokens)

    def _grow(self, tokens: int) -> None:
        if not self.layers or self.layers[0].keys.shape[-2] >= tokens:
            return
        for layer in self.layers:
            layer.keys = torch.nn.functional.pad(layer.keys, (0, 0, 0, tokens + GROWTH - layer.keys.shape[-2]))
            layer.values = torch.nn.functional.pad(layer.values, (0, 0, 0, tokens + GROWTH - layer.values.shape[-2]))


# ---- one step ------------------------------------------------------------------------------------------------------


def left_padded(rows: Sequence[Sequence[int]], *, device: torch.device, filler: int = 0) -> dict[str, torch.Tensor]:
    """input_ids, attention_mask and position_ids, each (n_rows, longest), of rows that end at the same column."""
    longest = max(map(len, rows))
    ids = torch.tensor([[filler] * (longest - len(row)) + list(row) for row in rows], device=device)
    starts = torch.tensor([longest - len(row) for row in rows], device=device)
    positions = torch.arange(longest, device=device)[None] - starts[:, None]
    return {
        "input_ids": ids,
        "attention_mask": (positions >= 0).long(),
        "position_ids": positions.clamp(min=0),
    }


def step_mask(config: Any, slots: Slots) -> Any:
    """Which keys each row's new token may see, (rows, 1, 1, width): its own row up to itself. None: all of them.

    Where layers look back no further than a window, that window too; one mask per kind of layer where the model has
    several. That the model really takes them so is checked when it is loaded.
    """
    window = getattr(config, "sliding_window", None)
    kinds = set(getattr(config, "layer_types", None) or [])
    if slots.level and not window and kinds <= {"full_attention"}:
        return None
    keys = torch.arange(slots.width, device=slots.device)[None]
    full = keys <= slots.at[:, None]
    near = full & (keys > slots.at[:, None] - window) if window else full
    full, near = full[:, None, None], near[:, None, None]
    if len(kinds) > 1:
        return {"full_attention": full, "sliding_attention": near}
    if kinds:
        return near if kinds == {"sliding_attention"} else full
    return near


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
    ) -> Iterator[Drawing]:
        """Every drawing, as it is done. `stopped` says whether tokens so far end in a text that stops.

        Raises:
            CannotAnswer: one does not fit alone. Its size says nothing of others': what was learned on the way down to
                it is forgotten.
        """
        fitted = self.fits
        # The longest first: what does not fit shows at once, and rows of one prefill are of like length.
        waiting = deque(sorted(drawings, key=lambda drawing: -len(drawing.prompt)))
        while waiting:
            active: list[Drawing] = []
            self.pending = []
            seats = max(1, min(self.rows, len(waiting), self.fits // max(map(_most_tokens, waiting))))
            slots = Slots(capacity=seats, device=self.model.device)
            while waiting or active:
                beat()
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
        # Not every single seat is filled at once: a prefill of several costs little more than of one.
        if waiting and (not active or slots.capacity - len(active) >= max(1, slots.capacity // 4)):
            first = len(active)
            active += self._next_in_line(waiting, slots.capacity - first)
            for drawing in active[first:]:
                drawing.begin(self.model.device)
            logits, filled = self._prefill(active[first:])
            slots.put(filled, [len(drawing.prompt) for drawing in active[first:]])
        else:
            logits, first = self._step(slots, active), 0
        self._take(logits, active[first:], sampling=sampling, stopped=stopped)
        done = []
        for row in reversed(range(first, len(active))):
            if active[row].finish:
                done.append(active[row])
                slots.free(row)
                active[row] = active[-1]
                active.pop()
        return done

    def _next_in_line(self, waiting: deque[Drawing], seats: int) -> list[Drawing]:
        """As many as there are seats, and as one prefill may hold."""
        came = [waiting.popleft()]
        while waiting and len(came) < seats and (len(came) + 1) * len(came[0].prompt) <= self.prefill_tokens:
            came.append(waiting.popleft())
        return came

    def _prefill(self, came: Sequence[Drawing]) -> tuple[torch.Tensor, DynamicCache]:
        batch = left_padded([drawing.prompt for drawing in came], device=self.model.device)
        # Without its configuration: layers with a window would throw away what the slots keep.
        cache = DynamicCache()
        output = self.model(**batch, past_key_values=cache, use_cache=True, logits_to_keep=1)
        return output.logits[:, -1].float(), cache

    def _step(self, slots: Slots, active: Sequence[Drawing]) -> torch.Tensor:
        slots.step()
        output = self.model(
            input_ids=torch.tensor([[drawing.tokens[-1]] for drawing in active], device=slots.device),
            position_ids=slots.at[:, None],
            attention_mask=step_mask(self.config, slots),
            past_key_values=slots.cache,
            use_cache=True,
            logits_to_keep=1,
        )
        slots.stepped()
        logits: torch.Tensor = output.logits[:, -1].float()
        return logits

    def _take(
        self,
        logits: torch.Tensor,
        drawings: Sequence[Drawing],
        *,
        sampling: Sampling,
        stopped: Callable[[Sequence[int]], bool],
    ) -> None:
        generators = [drawing.generator for drawing in drawings if drawing.generator is not None]
        drawn = draw(logits, sampling=sampling, generators=generators)
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
        if held >= FIGURES_AT_ONCE or any(drawing.finish for drawing in drawings):
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


def _most_tokens(drawing: Drawing) -> int:
    return len(drawing.prompt) + drawing.room
