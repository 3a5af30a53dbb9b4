"""GLAD: how able each annotator is, and how easy each item. Pure numbers; `aggregation` names it as its own."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from curation.metrics.estimates import NO_LABELS
from curation.metrics.labels import Codes, Floats, Labels
from curation.metrics.posteriors import Aggregate

# Labels taken at a time: what is computed of them stays in a processor's cache.
PIECE = 1 << 15


@dataclass(frozen=True)
class Abilities(Aggregate):
    """Soft labels, how able each annotator is, and how easy each item.

    Attributes:
        ability: shape (n_annotators,); 0 is a coin, below 0 is against the truth; nan: no label.
        easiness: above 0, shape (n_items,); 0 would be so hard that everyone guesses; nan: no label.
        iterations: how many were needed.
        has_converged: False where they did not suffice.
    """

    ability: Floats = field(default_factory=lambda: np.empty(0))
    easiness: Floats = field(default_factory=lambda: np.empty(0))
    iterations: int = 0
    has_converged: bool = False


def glad(labels: Labels, *, max_iterations: int = 1000) -> Abilities:
    """GLAD: an annotator of ability a is right about an item of easiness b with probability 1 / (1 + exp(-a b)).

    Errors fall on the other values equally; all values are equally likely beforehand. Abilities and the logarithms of
    the easiness have a normal prior of mean 1 and deviation 1. The posterior of both is maximised directly (L-BFGS)
    instead of by turns with the true values: the same maximum. A thousand labels weigh on an ability and three on an
    easiness, so each is measured in its own width first, without which the steps of the one wait for the other's.

    Args:
        labels: (n_labels,), compared as names.
        max_iterations: of the maximisation; `has_converged` is False where they did not suffice.

    Undefined: no label.

    Source: Whitehill et al., Whose vote should count more, 2009, sections 2 and 3.
    """
    from scipy.optimize import minimize

    n_annotators, n_items = labels.n_annotators, labels.n_items
    heard = np.bincount(labels.annotator, minlength=n_annotators) > 0
    has_labels = labels.per_item > 0
    nothing = np.full(n_annotators, np.nan), np.full(n_items, np.nan)
    if not len(labels):
        return Abilities(np.full((n_items, labels.n_values), np.nan), labels.per_item, NO_LABELS, *nothing)
    model = _Model(labels)
    width = model.widths(np.ones(n_annotators + n_items))

    def against(steps: Floats) -> tuple[float, Floats]:
        value, slope = model.against(1 + steps / width)
        return value, slope / width

    options = {"maxiter": max_iterations, "maxfun": 2 * max_iterations, "ftol": 1e-9, "gtol": 1e-7}
    end = minimize(against, np.zeros(len(width)), jac=True, method="L-BFGS-B", options=options)
    found = 1 + end.x / width
    ability, easiness = found[:n_annotators], np.exp(found[n_annotators:])
    posterior = model.posterior(found)
    posterior[~has_labels] = np.nan
    return Abilities(
        posterior,
        labels.per_item,
        None,
        np.where(heard, ability, np.nan),
        np.where(has_labels, easiness, np.nan),
        iterations=int(end.nit),
        has_converged=bool(end.success),
    )


class _Piece:
    """Some items in a row with all of their labels, small enough to stay in a processor's cache.

    Tables are (n_values, n_items): what is added up over the values lies one row after the other.
    """

    def __init__(self, labels: Labels, rows: Codes, items: slice) -> None:
        self.items, self.size, self.k = items, items.stop - items.start, labels.n_values
        self.annotator, self.item = labels.annotator[rows], labels.item[rows] - items.start
        self.cell: Codes = labels.value[rows] * self.size + self.item
        self.log_others = math.log(max(self.k - 1, 1))

    def expectation(self, x: Floats) -> tuple[Floats, float]:
        """How likely each value is of each item, (n_values, n_items), and the sum over items of what it is divided by.

        x is the log odds of each label to be right. The probability of a right label divided by that of a wrong one is
        exp(x) (n_values - 1): only its logarithm is added up.
        """
        logs = np.bincount(self.cell, weights=x + self.log_others, minlength=self.k * self.size)
        logs = logs.reshape(self.k, self.size)
        top = logs.max(axis=0)
        weights = np.exp(logs - top)
        total = weights.sum(axis=0)
        return weights / total, float((top + np.log(total)).sum())

    def slopes(self, ability: Floats, easiness: Floats) -> tuple[float, Floats, Floats]:
        """The logarithm of the likelihood but for a constant; its slopes by ability and by log easiness of each label.

        Args:
            ability, easiness: of each label, shape (n_labels,).
        """
        x = ability * easiness
        posterior, total = self.expectation(x)
        # One exponential gives both log(1 + exp(x)) and the chance of being right, and overflows for no x.
        small = np.exp(-np.abs(x))
        likelihood = total - float((np.maximum(x, 0) + np.log1p(small)).sum())
        right = np.where(x >= 0, 1, small) / (1 + small)
        # The slope of the likelihood is that of its expectation under the posterior (Fisher's identity).
        slope = (posterior.ravel()[self.cell] - right) * easiness
        return likelihood, slope, slope * ability


class _Model:
    """The posterior of abilities and easiness given some labels, and its slopes.

    The unknowns stand in one array: abilities, then the logarithms of the easiness, shape (n_annotators + n_items,).
    """

    def __init__(self, labels: Labels) -> None:
        self.n_annotators, self.n_items, self.k = labels.n_annotators, labels.n_items, labels.n_values
        order = np.argsort(labels.item, kind="stable")
        ends = np.cumsum(labels.per_item)
        self.pieces: list[_Piece] = []
        begin = 0
        while begin < self.n_items:
            before = int(ends[begin - 1]) if begin else 0
            # At least one item, however many labels it has.
            end = max(begin + 1, int(np.searchsorted(ends, before + PIECE, side="right")))
            self.pieces.append(_Piece(labels, order[before : int(ends[end - 1])], slice(begin, end)))
            begin = end

    def posterior(self, found: Floats) -> Floats:
        """How likely each value is of each item, (n_items, n_values)."""
        parts = [piece.expectation(ability * easiness)[0] for piece, ability, easiness in self._of_labels(found)]
        return np.concatenate([part.T for part in parts]) if parts else np.empty((0, self.k))

    def against(self, found: Floats) -> tuple[float, Floats]:
        """Minus the logarithm of the posterior, but for a constant, and its slopes."""
        away = found - 1
        value, slopes = float((away**2).sum()) / 2, away
        for piece, ability, easiness in self._of_labels(found):
            likelihood, by_ability, by_easiness = piece.slopes(ability, easiness)
            value -= likelihood
            self._add(slopes, piece, -by_ability, -by_easiness)
        return value, slopes

    def widths(self, found: Floats) -> Floats:
        """The square root of how strongly each unknown is held, at `found`: by its prior and by its labels."""
        held = np.ones(len(found))
        for piece, ability, easiness in self._of_labels(found):
            small = np.exp(-np.abs(ability * easiness))
            by_label = small / (1 + small) ** 2 * easiness**2
            self._add(held, piece, by_label, by_label * ability**2)
        return np.sqrt(held)

    def _of_labels(self, found: Floats) -> Iterator[tuple[_Piece, Floats, Floats]]:
        """Each piece with the ability and the easiness of each of its labels."""
        abilities, easiness = found[: self.n_annotators], np.exp(found[self.n_annotators :])
        for piece in self.pieces:
            yield piece, abilities[piece.annotator], easiness[piece.items][piece.item]

    def _add(self, sums: Floats, piece: _Piece, by_ability: Floats, by_easiness: Floats) -> None:
        """Add what each label says to the unknowns that it speaks of."""
        sums[: self.n_annotators] += np.bincount(piece.annotator, weights=by_ability, minlength=self.n_annotators)
        items = slice(self.n_annotators + piece.items.start, self.n_annotators + piece.items.stop)
        sums[items] += np.bincount(piece.item, weights=by_easiness, minlength=piece.size)
