"""What the table of measures says of each: read by pages, documentation and tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

Subject = Literal[
    "project",
    "pair",
    "two annotators",
    "annotator",
    "candidate",
    "prompt",
    "principle",
    "two principles",
    "group",
    "column",
    "rationale",
]
# What a function takes first, besides plain labels: their values are names, or numbers in order.
Values = Literal[
    "names",
    "numbers",
    "principle votes",
    "principle conflicts",
    "principle weights",
    "wins",
    "games",
    "log-probabilities",
    "rewards",
    "losses",
    "margins",
    "spans",
    "token scores",
    "probabilities",
    "samples",
    "tokens",
    "texts",
    "judgements",
    "groups",
    "arms",
    "reactions",
]
Direction = Literal[
    "higher is more agreement",
    "higher is less agreement",
    "higher is likelier",
    "higher wins more often",
    "higher is more often",
    "higher goes first",
    "higher is more arbitrary",
    "higher is further apart",
    "higher is harder",
    "higher is easier",
    "higher is more to be trusted",
    "higher is less sure",
    "higher is better",
    "lower is better",
    "higher is more diverse",
    "higher is less diverse",
    "higher is more circular",
    "higher is firmer",
    "higher is more influence",
    "higher is slower",
    "0 is no habit",
    "0 is no change",
    "half is no habit",
    "a name",
]


@dataclass(frozen=True)
class Metric:
    """One row of the table.

    `function` takes first what `values` says. It returns an Estimate, one for each subject, or an array of a value for
    each; what is undefined is nan, with the reason where there is room for one.
    """

    title: str
    function: Callable[..., Any]
    # Of what it is measured.
    subject: Subject
    direction: Direction
    unit: str
    values: Values
    undefined: str
    reference: str


MORE_AGREEMENT: Final = "higher is more agreement"
PROBABILITY = "probability, 0 to 1"
SHARE = "share, 0 to 1"
