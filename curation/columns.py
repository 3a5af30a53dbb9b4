"""The board's columns in memory: how many pairs pass a filter, and which come next, without asking the database.

The bins that the browser counts with, held once per process and version of the facts. At a million pairs a filter takes
a millisecond, whatever it asks for; an index serves only the filters that it begins with.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curation import packing
from curation.filters import Filter, Order
from curation.models import FactsArray, FactsState

# Of all projects together; a million pairs are 24 MB, 4 MB more for each order that the table was put into, and 12 MB
# where pairs were grouped.
MOST_BYTES = 200 * 2**20
# Rows that are looked through at once, and ever more of them while none passes.
FIRST_PIECE, LAST_PIECE = 1 << 12, 1 << 18

Key = tuple[int, int, Any]


@dataclass
class Columns:
    """One version of a project's facts. `pair` has the shape (rows,), and so has every column of `bins`.

    Rows are in the order of the plane's x, pairs of the same value by number.
    """

    project: int
    version: int
    pair: NDArray[np.int64]
    bins: dict[str, NDArray[np.uint8]]
    orders: dict[str, NDArray[np.uint32]] = field(default_factory=dict)
    values: dict[str, NDArray[np.float32]] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes."""
        arrays: list[NDArray[Any]] = [self.pair, *self.bins.values(), *self.orders.values(), *self.values.values()]
        return sum(one.nbytes for one in arrays)

    def passing(self, asked: Filter) -> NDArray[np.bool_]:
        """Which rows pass, shape (rows,). The scope is not looked at."""
        found = np.ones(len(self.pair), dtype=bool)
        for key, slots in asked.passing.items():
            column = self.bins[key]
            if len(slots) == slots[-1] - slots[0] + 1:
                # One comparison for both ends: what lies below wraps round to the top.
                found &= (column - np.uint8(slots[0])) <= np.uint8(slots[-1] - slots[0])
            else:
                allowed = np.zeros(256, dtype=bool)
                allowed[list(slots)] = True
                found &= allowed[column]
        return found

    def order(self, key: str) -> NDArray[np.uint32] | None:
        """The rows by value, then by pair; None where this version's are gone."""
        if key == next(iter(self.bins)):
            # The plane's x, which the rows follow.
            return np.arange(len(self.pair), dtype=np.uint32)
        if key not in self.orders:
            stored = _array(self.project, self.version, key)
            if stored is None:
                return None
            self.orders[key] = np.frombuffer(stored, dtype="<u4")
        return self.orders[key]

    def value(self, key: str) -> NDArray[np.float32] | None:
        """What is known of each row, nan where nothing is, shape (rows,); None where this version's are gone.

        `key`: one of `packing.MEANT`.
        """
        if key not in self.values:
            stored = _array(self.project, self.version, f"value_{key}")
            if stored is None:
                return None
            self.values[key] = np.frombuffer(stored, dtype="<f4")
        return self.values[key]

    def page(
        self, passing: NDArray[np.bool_], *, order: Order, bins: int, after: int | None, size: int
    ) -> list[int] | None:
        """The next `size` pairs that pass, those unknown in the order last and by number; None: ask the database.

        Args:
            passing: as `passing` gives it.
            order: of the table.
            bins: how many known bins the order's dimension has.
            after: the last pair of the page before; None for the first page.
        """
        rows = self.order(order.key)
        if rows is None:
            return None
        known = int(np.count_nonzero(self.bins[order.key] < bins))
        first, last = rows[:known], rows[known:]
        parts = [first[::-1] if order.is_descending else first, last]
        if after is not None:
            at = np.flatnonzero(self.pair == after)
            if not len(at):
                return None
            if self.bins[order.key][at[0]] < bins:
                parts[0] = parts[0][int(np.flatnonzero(parts[0] == at[0])[0]) + 1 :]
            else:
                parts = [last[int(np.flatnonzero(last == at[0])[0]) + 1 :]]
        return [int(self.pair[row]) for row in _taken(parts, passing, size)]


def _taken(parts: Sequence[NDArray[np.uint32]], passing: NDArray[np.bool_], size: int) -> list[int]:
    """The first `size` rows of `parts` that pass."""
    found: list[int] = []
    for piece in _pieces(parts):
        found += piece[passing[piece]][: size - len(found)].tolist()
        if len(found) == size:
            break
    return found


def _pieces(parts: Sequence[NDArray[np.uint32]]) -> Iterator[NDArray[np.uint32]]:
    width = FIRST_PIECE
    for part in parts:
        start = 0
        while start < len(part):
            yield part[start : start + width]
            start, width = start + width, min(2 * width, LAST_PIECE)


# ---- held ----------------------------------------------------------------------------------------------------------

_held: OrderedDict[Key, Columns] = OrderedDict()
_lock = threading.Lock()


def of(state: FactsState) -> Columns | None:
    """The columns of this version of the facts; None where they were gathered anew meanwhile, or before there were any.

    Two threads that ask at once both read them, and one of the two is kept.
    """
    # With the moment too: a database that was put back may count its versions again.
    key = (state.project_id, state.version, state.gathered_at)
    with _lock:
        if key in _held:
            _held.move_to_end(key)
            return _held[key]
    found = _read(state)
    if found is not None:
        with _lock:
            for old in [one for one in _held if one[0] == state.project_id]:
                del _held[old]
            _held[key] = found
            while len(_held) > 1 and sum(one.size for one in _held.values()) > MOST_BYTES:
                _held.popitem(last=False)
    return found


def held() -> list[Columns]:
    """What this process holds, the longest unused first."""
    with _lock:
        return list(_held.values())


def forget() -> None:
    """Let go of everything, as a process does that begins."""
    with _lock:
        _held.clear()


def _read(state: FactsState) -> Columns | None:
    pair = _array(state.project_id, state.version, "pair")
    stored = FactsState.objects.filter(pk=state.pk, version=state.version).values_list("columns", flat=True).first()
    if pair is None or stored is None:
        return None
    return Columns(
        project=state.project_id,
        version=state.version,
        pair=np.frombuffer(pair, dtype="<i8"),
        bins=packing.unpacked(bytes(stored)),
    )


def _array(project: int, version: int, key: str) -> bytes | None:
    found = FactsArray.objects.filter(project=project, key=key, version=version).values_list("body", flat=True).first()
    return None if found is None else bytes(found)
