"""How fast the measures are, and how they grow with the labels.

    python -m bench.measuring [--quick] [--oracle-python PATH]

Alpha, Dawid and Skene's model, GLAD and the discretion measures at 10,000, 100,000 and 1,000,000 labels (quickly: to
100,000): CPU seconds, memory, and the exponent of growth (1: ten times the labels take ten times as long). Alpha is
compared with a plain numpy pass over the same labels, which counts them by item and value once. The product's budget at
a million labels is .1 s for alpha and 2 s for Dawid and Skene.

`--oracle-python` names the interpreter of an environment in which `krippendorff` or `crowd-kit` is installed, which the
product's own is not: there they measure the same arrays at every size, and their figures and how far the results differ
at most are printed.

Prints one JSON line.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bench.harness import report
from curation.metrics import aggregation, agreement, discretion
from curation.metrics.labels import Labels

SIZES = (10_000, 100_000, 1_000_000)
ANNOTATORS, VALUES, PER_ITEM = 1000, 4, 5
PRINCIPLES = 21
# The oracle's answers are read from this program's last line.
ORACLE = r"""
import json, sys, time, tracemalloc
import numpy as np
item, annotator, value = np.load(sys.argv[1])
found = {}

def timed(measure):
    best = min(once(measure) for _ in range(2))
    tracemalloc.start()
    result = measure()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return {"seconds": best, "mebibytes": round(peak / 2**20, 1)}, result

def once(measure):
    start = time.process_time()
    measure()
    return time.process_time() - start

try:
    import krippendorff
    counts = np.zeros((int(item.max()) + 1, int(value.max()) + 1), dtype=int)
    np.add.at(counts, (item, value), 1)
    took, alpha = timed(lambda: krippendorff.alpha(value_counts=counts, level_of_measurement="nominal"))
    found["krippendorff"] = {**took, "alpha": float(alpha)}
except ImportError:
    pass
try:
    import pandas as pd
    from crowdkit.aggregation import DawidSkene
    labels = pd.DataFrame({"task": item, "worker": annotator, "label": value})
    took, fitted = timed(lambda: DawidSkene(n_iter=100).fit(labels))
    found["crowd-kit"] = took
    table = fitted.probas_.reindex(index=range(int(item.max()) + 1), columns=range(int(value.max()) + 1))
    np.save(sys.argv[2], table.to_numpy(dtype=float))
except ImportError:
    pass
print(json.dumps(found))
"""


def labels_of(n: int) -> Labels:
    """n labels of 1,000 annotators, each right with a chance of their own; five an item."""
    rng = np.random.default_rng(0)
    items = n // PER_ITEM
    truth, skill = rng.integers(0, VALUES, items), rng.uniform(0.5, 0.95, ANNOTATORS)
    item = np.repeat(np.arange(items), PER_ITEM)
    # Nobody labels an item twice: five neighbours from a random place on.
    annotator = (np.repeat(rng.integers(0, ANNOTATORS, items), PER_ITEM) + np.arange(len(item)) % PER_ITEM) % ANNOTATORS
    right = rng.random(len(item)) < skill[annotator]
    value = np.where(right, truth[item], rng.integers(0, VALUES, len(item)))
    return Labels(item, annotator, value, np.arange(items), np.arange(ANNOTATORS), np.arange(VALUES))


def votes_of(n: int) -> tuple[np.ndarray, np.ndarray]:
    """n votes of principles, 21 a row, most of them indifferent; and one annotator's preferences."""
    rng = np.random.default_rng(0)
    shape = (max(1, n // PRINCIPLES), PRINCIPLES)
    votes = np.where(rng.random(shape) < 0.84, np.nan, rng.choice([-1.0, 1.0], size=shape))
    return votes, rng.choice([-1.0, 1.0], size=shape[0])


def discretion_of(votes: np.ndarray, preferences: np.ndarray) -> np.ndarray:
    discretion.arbitrariness(votes, preferences)
    return discretion.priorities(*discretion.supremacy(votes, preferences))


def plain_pass(labels: Labels) -> float:
    """What alpha cannot do without: counting the labels by item and value. And nominal alpha from the counts."""
    counts = np.bincount(labels.item * VALUES + labels.value, minlength=labels.n_items * VALUES)
    counts = counts.reshape(-1, VALUES).astype(float)
    size, by_value = counts.sum(axis=1), counts.sum(axis=0)
    n = size.sum()
    observed = ((size**2 - (counts**2).sum(axis=1)) / (size - 1)).sum() / n
    return float(1 - observed * n * (n - 1) / (n**2 - (by_value**2).sum()))


def seconds(measure: Callable[[], Any], *, times: int) -> float:
    """CPU seconds of the fastest of several runs: what the work takes, whatever else the machine is doing.

    Run it with OMP_NUM_THREADS=1: then they are the seconds that it takes on a machine of its own.
    """
    best = math.inf
    for _ in range(times):
        start = time.process_time()
        measure()
        best = min(best, time.process_time() - start)
    return best


def mebibytes(measure: Callable[[], Any]) -> float:
    """The most memory that was held at once besides the input."""
    tracemalloc.start()
    measure()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return round(peak / 2**20, 1)


def exponent(times: list[float], sizes: tuple[int, ...]) -> float:
    """The slope of log time over log size."""
    return round(float(np.polyfit(np.log(sizes), np.log(times), 1)[0]), 2)


def ask_oracle(python: str, sizes: tuple[int, ...]) -> dict[str, Any]:
    """What the other programs say of the same labels at every size, and how far ours is from it at most."""
    found: dict[str, dict[str, Any]] = {}
    for n in sizes:
        for name, one in _asked(python, labels_of(n)).items():
            told = found.setdefault(name, {"seconds": [], "mebibytes": [], "differs_by": 0.0})
            told["seconds"].append(round(one["seconds"], 4))
            told["mebibytes"].append(one["mebibytes"])
            told["differs_by"] = max(told["differs_by"], one["differs_by"])
    for told in found.values():
        told["exponent"] = exponent(told["seconds"], sizes)
    return found


def _asked(python: str, labels: Labels) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        given, answer = Path(folder) / "labels.npy", Path(folder) / "posterior.npy"
        np.save(given, np.stack([labels.item, labels.annotator, labels.value]))
        done = subprocess.run(
            [python, "-c", ORACLE, str(given), str(answer)], capture_output=True, text=True, check=True, timeout=600
        )
        found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
        if "krippendorff" in found:
            ours = agreement.krippendorff_alpha(labels, level="nominal").value
            found["krippendorff"]["differs_by"] = abs(ours - found["krippendorff"]["alpha"])
        if "crowd-kit" in found:
            posterior = aggregation.dawid_skene(labels).posterior
            found["crowd-kit"]["differs_by"] = float(np.abs(posterior - np.load(answer)).max())
    return found


# What is drawn for each measure, and the measure.
MEASURES: dict[str, tuple[Callable[[int], tuple[Any, ...]], Callable[..., Any]]] = {
    **{
        f"alpha_{level}": (lambda n: (labels_of(n),), partial(agreement.krippendorff_alpha, level=level))
        for level in agreement.LEVELS
    },
    "dawid_skene": (lambda n: (labels_of(n),), aggregation.dawid_skene),
    "glad": (lambda n: (labels_of(n),), aggregation.glad),
    "discretion": (votes_of, discretion_of),
    "plain_pass": (lambda n: (labels_of(n),), plain_pass),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="to 100,000 labels")
    parser.add_argument("--oracle-python", metavar="PATH", help="an interpreter with krippendorff or crowd-kit")
    options = parser.parse_args()
    if options.oracle_python and not Path(options.oracle_python).is_file():
        parser.error(f"There is no interpreter at {options.oracle_python}.")
    sizes = SIZES[:2] if options.quick else SIZES
    times = 5 if options.quick else 3
    found: dict[str, dict[str, Any]] = {}
    for name, (prepare, function) in MEASURES.items():
        took, held = [], []
        for n in sizes:
            measure = partial(function, *prepare(n))
            # The first call pays for what is imported, and for memory that the system has not given yet.
            measure()
            took.append(seconds(measure, times=times))
            held.append(mebibytes(measure))
        found[name] = {
            "seconds": [round(one, 4) for one in took],
            "mebibytes": held,
            "exponent": exponent(took, sizes),
        }
    largest = found["alpha_nominal"]["seconds"][-1]
    report(
        name="measuring",
        figure=largest,
        unit=f"s for nominal alpha of {sizes[-1]} labels",
        compared_with="one plain numpy pass over the same labels",
        ratio=round(largest / max(found["plain_pass"]["seconds"][-1], 1e-4), 2),
        labels=list(sizes),
        **found,
        **({"oracles": ask_oracle(options.oracle_python, sizes)} if options.oracle_python else {}),
    )


if __name__ == "__main__":
    main()
