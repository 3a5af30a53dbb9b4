"""Labels in long form: who said what of which item. Every measure takes this first.

A million labels of a thousand annotators are three arrays of a million numbers; the table items x annotators would hold
a thousand times as much, nearly all of it empty.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Labels:
    """One row per label: `item[i]` got `value[i]` from `annotator[i]`, each a code that counts from 0.

    Attributes:
        item, annotator, value: integer arrays of shape (n_labels,).
        items: what item code i stands for, shape (n_items,). An item without a label may be among them.
        annotators: what annotator code i stands for, shape (n_annotators,).
        values: what value code i stands for, shape (n_values,): numbers in ascending order for ordinal and interval
            measures, names for nominal ones. A value that nobody gave may be among them.
    """

    item: Codes
    annotator: Codes
    value: Codes
    items: NDArray[Any]
    annotators: NDArray[Any]
    values: NDArray[Any]

    def __post_init__(self) -> None:
        if not len(self.item) == len(self.annotator) == len(self.value):
            raise ValueError(
                f"The columns differ in length: {len(self.item)}, {len(self.annotator)}, {len(self.value)}."
            )
        named = (
            ("item", self.item, self.items),
            ("annotator", self.annotator, self.annotators),
            ("value", self.value, self.values),
        )
        for name, codes, names in named:
            if len(codes) and (codes.min() < 0 or codes.max() >= len(names)):
                raise ValueError(f"A code of {name} lies outside 0..{len(names) - 1}.")

    @classmethod
    def from_matrix(cls, matrix: ArrayLike) -> Labels:
        """From numbers of shape (n_items, n_annotators); nan = this annotator did not label this item."""
        table = np.asarray(matrix, dtype=np.float64)
        if table.ndim != 2:
            raise ValueError(
                f"A matrix has two dimensions, items and annotators; this one has the shape {table.shape}."
            )
        item, annotator = np.nonzero(~np.isnan(table))
        values, value = np.unique(table[item, annotator], return_inverse=True)
        return cls(item, annotator, value, np.arange(table.shape[0]), np.arange(table.shape[1]), values)

    @classmethod
    def from_columns(
        cls, items: ArrayLike, annotators: ArrayLike, values: ArrayLike, *, levels: Sequence[Any] | None = None
    ) -> Labels:
        """From three columns of anything that sorts. `levels` names the values and their order, given or not.

        Raises:
            ValueError: a value is not among `levels`, or the columns differ in length.
        """
        item_names, item = np.unique(np.asarray(items), return_inverse=True)
        annotator_names, annotator = np.unique(np.asarray(annotators), return_inverse=True)
        value_names, value = np.unique(np.asarray(values), return_inverse=True)
        if levels is not None:
            wanted = np.asarray(levels)
            place = {name: code for code, name in enumerate(wanted.tolist())}
            strange = [name for name in value_names.tolist() if name not in place]
            if strange:
                raise ValueError(f"{strange[0]!r} is not one of the levels {wanted.tolist()}.")
            value = np.array([place[name] for name in value_names.tolist()], dtype=np.int64)[value]
            value_names = wanted
        return cls(item, annotator, value, item_names, annotator_names, value_names)

    @classmethod
    def from_counts(cls, counts: ArrayLike, *, values: ArrayLike | None = None) -> Labels:
        """From how often each value was given, shape (n_items, n_values). Annotators count within an item then."""
        table = np.asarray(counts, dtype=np.int64)
        names = np.arange(table.shape[1]) if values is None else np.asarray(values)
        cells = np.repeat(np.arange(table.size), table.ravel())
        item, value = cells // table.shape[1], cells % table.shape[1]
        total = table.sum(axis=1)
        annotator = np.arange(len(item)) - np.repeat(np.cumsum(total) - total, total)
        return cls(item, annotator, value, np.arange(len(table)), np.arange(int(total.max(initial=0))), names)

    def __len__(self) -> int:
        return len(self.item)

    @property
    def n_items(self) -> int:
        return len(self.items)

    @property
    def n_annotators(self) -> int:
        return len(self.annotators)

    @property
    def n_values(self) -> int:
        return len(self.values)

    @property
    def per_item(self) -> Codes:
        """How many labels each item has, shape (n_items,)."""
        return np.bincount(self.item, minlength=self.n_items)

    @property
    def numbers(self) -> Floats:
        """The values as numbers, shape (n_values,).

        Raises:
            ValueError: they are names, and this measure needs numbers.
        """
        if self.values.dtype.kind not in "iufb":
            raise ValueError(
                f"The values {self.values.tolist()} have no distances: only a nominal measure can take them."
            )
        return self.values.astype(np.float64)

    def counts(self) -> Codes:
        """How often each value was given, shape (n_items, n_values)."""
        flat = np.bincount(self.item * self.n_values + self.value, minlength=self.n_items * self.n_values)
        return flat.reshape(self.n_items, self.n_values)

    def keep(self, rows: NDArray[np.bool_]) -> Labels:
        """The labels of `rows`, shape (n_labels,). Codes and names stay as they are."""
        return Labels(self.item[rows], self.annotator[rows], self.value[rows], self.items, self.annotators, self.values)

    def without(self, *values: Any) -> Labels:
        """The labels that are none of `values`."""
        kept = np.array([name not in values for name in self.values.tolist()], dtype=bool)
        return self.keep(kept[self.value])

    def met(self) -> Iterator[tuple[Codes, Codes]]:
        """Every two labels of one item, once: index arrays (one, other) into the labels, in several pieces."""
        order = np.argsort(self.item, kind="stable")
        items = self.item[order]
        for distance in range(1, int(self.per_item.max(initial=0))):
            same = np.nonzero(items[distance:] == items[:-distance])[0]
            yield order[same], order[same + distance]
