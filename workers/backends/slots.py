"""Keys and values of sequences in slots: one buffer per layer, (rows, heads, tokens, width).

A sequence's keys begin at 0 in its row, whatever its neighbours' lengths, and the mask says how far each row goes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import Cache, DynamicLayer

# The buffers grow by this many tokens at a time, so that a step rarely copies them.
GROWTH = 256


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

    def stepped(self, rows: Sequence[int]) -> None:
        """These rows got their token."""
        for row in rows:
            self.lengths[row] += 1

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
