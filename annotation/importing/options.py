"""What is asked of an import over the page and the API, and kept with its run: one place for all who ask."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from annotation.errors import Refused
from annotation.importing import checking
from annotation.models import Run

# What a file can hold, and one of it.
HOLDS = {"pairs": "pair", "judgements": "judgement", "prompts": "prompt"}


@dataclass(frozen=True)
class Options:
    """How a file is read: what it holds, and what the commands take as options."""

    holds: str = "pairs"
    layout: str = checking.AUTO
    # Of pairs and prompts: the columns that were named by hand.
    mapping: Mapping[str, str] = field(default_factory=dict)
    # Of pairs: kinds of bad rows that come in, marked; and rows of this source only.
    allow: frozenset[str] = frozenset()
    source: str = ""
    # Of judgements: the ids of those annotators that are models.
    judges: frozenset[str] = frozenset()

    @classmethod
    def of(cls, run: Run) -> Options:
        at = run.parameters
        return cls(
            holds=at["holds"],
            layout=at["layout"],
            mapping=at["mapping"],
            allow=frozenset(at["allow"]),
            source=at.get("source", ""),
            judges=frozenset(at["judges"]),
        )

    def as_parameters(self) -> dict[str, Any]:
        """Raises Refused: what the file holds, or what is let in, is not known."""
        if self.holds not in HOLDS:
            raise Refused(f"A file cannot hold {self.holds!r}. Known are: {', '.join(HOLDS)}.")
        return {
            "holds": self.holds,
            "layout": self.layout,
            "mapping": dict(self.mapping),
            "allow": sorted(checking.check_allow(self.allow)),
            "source": self.source,
            "judges": sorted(self.judges),
        }
