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

# The buffers grow by this many tokens at a time, so that a step rarely copies them.
GROWTH = 256
# Of sorted probabilities this many are looked at first: nearly always they hold the truncated distribution whole.
HEAD = 64


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
        rows, width = self.slots.rows, self.slots.width
        self.keys[self.slots.index[:rows], :, self.slots.lengths[:rows]] = key_states[:, :, 0]
        self.values[self.slots.index[:rows], :, self.slots.lengths[:rows]] = value_states[:, :, 0]
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
        self.lengths = torch.zeros(capacity, dtype=torch.long, device=device)  # tokens whose keys are there
        self.rows = 0  # in use: 0 … rows - 1
        self.width = 0  # of the step: the longest row and its new token

    def put(self, filled: DynamicCache, lengths: Sequence[int]) -> None:
        """Take over the rows of a left-padded prefill as new slots."""
        longest = max(lengths)
        self._make_room(filled, longest)
        for mine, theirs in zip(self.layers, filled.layers, strict=True):
            for row, length in enumerate(lengths, start=self.rows):
                start = theirs.keys.shape[-2] - length
                mine.keys[row, :, :length] = theirs.keys[row - self.rows, :, start:]
                mine.values[row, :, :length] = theirs.values[row - self.rows, :, start:]
        self.lengths[self.rows : self.rows + len(lengths)] = torch.tensor(lengths, device=self.device)
        self.rows += len(lengths)

    def free(self, row: int, length: int) -> int:
        """Give a row up: the last one moves into its place. Returns the index that the last one had."""
        last = self.rows - 1
        if row != last:
            for layer in self.layers:
                layer.keys[row, :, :length] = layer.keys[last, :, :length]
                layer.values[row, :, :length] = layer.values[last, :, :length]
            self.lengths[row] = self.lengths[last]
        self.rows = last
        return last

    def widen(self, longest: int) -> None:
        """Every row is to get one more token; the longest has `longest` so far."""
        self.width = longest + 1
        self._grow(self.width)

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


def left_padded(rows: Sequence[Sequence[int]], *, device: torch.device) -> dict[str, torch.Tensor]:
    """input_ids, attention_mask and position_ids, each (n_rows, longest), of rows that end at the same column."""
    longest = max(map(len, rows))
    ids = torch.tensor([[0] * (longest - len(row)) + list(row) for row in rows], device=device)
    starts = torch.tensor([longest - len(row) for row in rows], device=device)
    positions = torch.arange(longest, device=device)[None] - starts[:, None]
    return {
        "input_ids": ids,
        "attention_mask": (positions >= 0).long(),
        "position_ids": positions.clamp(min=0),
    }


def step_mask(config: Any, lengths: torch.Tensor, width: int) -> Any:
    """Which keys each row's new token may see, (rows, 1, 1, width): its own row up to itself.

    Where layers look back no further than a window, that window too; one mask per kind of layer where the model has
    several. That the model really takes them so is checked when it is loaded.
    """
    keys = torch.arange(width, device=lengths.device)[None]
    full = keys <= lengths[:, None]
    window = getattr(config, "sliding_window", None)
    kinds = set(getattr(config, "layer_types", None) or [])
    near = full & (keys > lengths[:, None] - window) if window else full
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
    logs = torch.log_softmax(logits, dim=-1)
    probabilities = logs.exp()
    entropy = torch.special.entr(probabilities).sum(dim=-1)
    drawn = logs.gather(1, tokens[:, None])[:, 0]
    count = min(HEAD, logits.shape[-1])
    head = probabilities.topk(count).values
    if count < logits.shape[-1] and bool((head.sum(dim=-1) < BRANCHING_TOP_P).any()):
        head = probabilities.sort(dim=-1, descending=True).values
    kept = head.cumsum(dim=-1) - head < BRANCHING_TOP_P
    inside = torch.where(kept, head, 0)
    last = torch.where(kept, head, torch.inf).amin(dim=-1)
    outsider = torch.where(drawn.exp() < last, drawn.exp(), 0)
    mass = inside.sum(dim=-1) + outsider
    surprise = torch.special.entr(inside).sum(dim=-1) + torch.special.entr(outsider)
    return torch.stack([drawn, entropy, mass.log() + surprise / mass, drawn - mass.log()])


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
    """Draws sequences from a model, up to `rows` at a time; fewer for good once the memory did not suffice."""

    def __init__(self, model: Any, *, rows: int, prefill_tokens: int, ends: frozenset[int]) -> None:
        self.model, self.rows, self.prefill_tokens, self.ends = model, rows, prefill_tokens, ends
        self.config = model.config.get_text_config()

    def run(
        self,
        drawings: Sequence[Drawing],
        *,
        sampling: Sampling,
        stopped: Callable[[Sequence[int]], bool],
        beat: Callable[[], None],
    ) -> Iterator[Drawing]:
        """Every drawing, as it is done. `stopped` says whether tokens so far end in a text that stops."""
        # The longest first: what does not fit shows at once, and rows of one prefill are of like length.
        waiting = deque(sorted(drawings, key=lambda drawing: -len(drawing.prompt)))
        while waiting:
            active: list[Drawing] = []
            slots = Slots(capacity=min(self.rows, len(waiting)), device=self.model.device)
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
                self._with_less(active, waiting)

    def _with_less(self, active: list[Drawing], waiting: deque[Drawing]) -> None:
        """Out of memory: those on their way begin again, half as many at a time. Their texts stay the same."""
        if self.rows == 1:
            raise CannotAnswer(
                "The memory does not suffice for one sequence at a time. Use fewer tokens, a smaller model or a larger "
                "device."
            )
        self.rows = max(1, min(self.rows, len(active)) // 2)
        waiting.extendleft(reversed(active))
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

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
                last = slots.free(row, len(active[-1].prompt) + len(active[-1].tokens))
                active[row] = active[last]
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
        slots.widen(max(len(drawing.prompt) + len(drawing.tokens) for drawing in active) - 1)
        lengths = slots.lengths[: slots.rows]
        output = self.model(
            input_ids=torch.tensor([[drawing.tokens[-1]] for drawing in active], device=slots.device),
            position_ids=lengths[:, None],
            attention_mask=step_mask(self.config, lengths, slots.width),
            past_key_values=slots.cache,
            use_cache=True,
            logits_to_keep=1,
        )
        slots.lengths[: slots.rows] += 1
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
        tokens = draw(logits, sampling=sampling, generators=generators)
        told = torch.cat([tokens[None].double(), figures(logits, tokens).double()]).T.tolist()
        for drawing, (token, log_probability, entropy, truncated_entropy, truncated_log_probability) in zip(
            drawings, told, strict=True
        ):
            if int(token) in self.ends:
                drawing.finish = "stop"
                continue
            drawing.tokens.append(int(token))
            drawing.log_probabilities.append(log_probability)
            drawing.entropies.append(entropy)
            drawing.truncated.append((truncated_entropy, truncated_log_probability))
            if stopped(drawing.tokens):
                drawing.finish = "stop"
            elif len(drawing.tokens) >= drawing.room:
                drawing.finish = "length"
