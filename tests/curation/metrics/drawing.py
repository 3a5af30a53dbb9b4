"""Input for measures, drawn at random: n rows as columns of the same length."""

from __future__ import annotations

import numpy as np

NAN = float("nan")
ANNOTATORS, PRINCIPLES = 4, 5


def holed(rng, values):
    return np.where(rng.random(np.shape(values)) < 0.2, NAN, values)


# ---- what is drawn --------------------------------------------------------------------------------------------------


def items(rng, n):
    """A row is an item with its labels; nan is none."""
    return (holed(rng, rng.integers(0, 3, size=(n, ANNOTATORS)).astype(float)), rng.dirichlet([1, 1, 1], size=n))


def votes(rng, n):
    drawn = np.where(rng.random((n, PRINCIPLES)) < 0.6, NAN, rng.choice([-1.0, 1.0], size=(n, PRINCIPLES)))
    return drawn, rng.choice([1.0, -1.0, 0.0, NAN], size=n, p=[0.4, 0.4, 0.1, 0.1])


def numbers(columns, low=-200.0, high=0.0):
    return lambda rng, n: tuple(holed(rng, rng.uniform(low, high, size=n)) for _ in range(columns))


def games(rng, n):
    return (rng.integers(0, 3, size=n), rng.integers(0, 4, size=n), rng.integers(4, 8, size=n))


def runs(rng, n):
    return (holed(rng, rng.random((n, 4))),)


def texts_with_spans(rng, n):
    def spans():
        return [(int(s), int(s + rng.integers(1, 9))) for s in rng.integers(0, 30, size=rng.integers(0, 4))]

    return [spans() for _ in range(n)], [spans() for _ in range(n)]


def token_scores(rng, n):
    sizes = rng.integers(1, 9, size=n)
    return [rng.integers(0, 2, size=size) for size in sizes], [rng.random(size) for size in sizes]


def samples(rng, n):
    sizes = rng.integers(1, 80, size=n)
    return [rng.random(size) for size in sizes], [-rng.random(size) for size in sizes]


def words(rng, n):
    return ([rng.choice(list("abcd"), size=rng.integers(0, 6)).tolist() for _ in range(n)],)


def texts(rng, n):
    """Words that nobody else has, so that only a text itself is like a text."""
    return (["".join(map(chr, rng.integers(97, 123, size=60))) for _ in range(n)],)


def judgements(values):
    return lambda rng, n: (rng.integers(0, 3, size=n), rng.choice(values, size=n))


def slopes(rng, n):
    return rng.integers(0, 2, size=n), rng.normal(size=n), rng.choice([0.0, 1.0, NAN], size=n)


def people_of_groups(rng, n):
    return np.where(np.arange(n) % 3 == 0, "a", "b"), rng.choice([0.0, 1.0, NAN], size=n)


def arms(values):
    return lambda rng, n: (rng.choice(values, size=n), rng.random(n) < 0.4)


# ---- rows of it -----------------------------------------------------------------------------------------------------


def take(columns, rows):
    return tuple(
        column[rows] if isinstance(column, np.ndarray) else [column[row] for row in rows] for column in columns
    )


def without(columns, gap, more):
    """The rows, and the first one `more` times again, in which column `gap` is missing."""
    n = len(columns[gap])
    added = take(columns, [*range(n), *[0] * more])
    lost = np.array(added[gap], dtype=float)
    lost[n:] = NAN
    return (*added[:gap], lost, *added[gap + 1 :])
