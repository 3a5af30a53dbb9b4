"""Batches of rows that one pass of a network can hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch

from workers.backends.decoding import ANY_NUMBER, is_out_of_memory
from workers.backends.primitives import Beat, CannotAnswer

# What one pass computes: on a CPU no more than its caches like (docs/performance.md).
ROWS = 32
TOKENS = {"cuda": 32_768, "cpu": 1_024}

T = TypeVar("T")


class TooLittleMemory(CannotAnswer):
    """One text alone needs more memory than there is."""


class Batched:
    """A network that is asked in batches.

    model: its name, for sentences. longest: how many tokens it takes. rows, tokens: what one pass may compute. fits:
    how many tokens of all its rows the memory holds, as was found out by running out of it. spent: how many tokens it
    has read since it was loaded.
    """

    def __init__(self, *, model: str, network: Any) -> None:
        self.model, self.network = model, network
        config = network.config.get_text_config()
        self.longest = int(getattr(config, "max_position_embeddings", None) or 10**9)
        self.rows, self.tokens = ROWS, TOKENS.get(network.device.type, TOKENS["cpu"])
        self.fits = ANY_NUMBER
        self.spent = 0

    def in_batches(
        self,
        rows: Sequence[Sequence[int]],
        ask: Callable[[Sequence[int]], list[T]],
        beat: Beat | None,
        *,
        shared: int = 0,
    ) -> list[T]:
        """`ask` batches of places whose rows are of like length; smaller ones once the memory did not suffice.

        shared: tokens before each row that the memory holds, and no pass computes.

        Raises:
            TooLittleMemory: a row does not fit alone. Its size says nothing of the others': what was learned on the way
                down to it is forgotten.
        """
        order = sorted(range(len(rows)), key=lambda place: -len(rows[place]))
        answers: dict[int, T] = {}
        begin, fitted = 0, self.fits
        while begin < len(order):
            if beat is not None:
                beat()
            width = len(rows[order[begin]])
            # A shared beginning is read by each row and computed by none: it fills memory, and costs little else.
            count = min(self.rows, self.tokens // (width + shared // 8), self.fits // (width + shared))
            places = order[begin : begin + max(1, count)]
            try:
                with torch.inference_mode():
                    answers.update(zip(places, ask(places), strict=True))
            except (RuntimeError, torch.OutOfMemoryError) as error:
                if not is_out_of_memory(error):
                    raise
            else:
                begin += len(places)
                self.spent += sum(len(rows[place]) for place in places)
                continue
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            if len(places) == 1:
                self.fits = fitted
                raise TooLittleMemory(
                    f"The memory of {self.network.device} does not suffice for one text of {shared + width:,} tokens. "
                    "Leave it out, or use a smaller model or a larger device."
                )
            self.fits = len(places) * (width + shared) // 2
        return [answers[place] for place in range(len(rows))]

    def refuse_too_long(self, rows: Sequence[Sequence[int]], *, extra: int) -> None:
        for place, row in enumerate(rows):
            if len(row) + extra > self.longest:
                raise CannotAnswer(
                    f"Text {place + 1} has {len(row):,} tokens; {self.model} takes {self.longest:,}. Shorten it or use "
                    "another model."
                )
