"""What a run measures: kept in its parameters, so that the run can be repeated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import Field, dataclass, field, fields
from typing import Any, ClassVar, Self

from annotation.errors import Refused
from annotation.models import Project
from curation.criteria import Criterion, from_json
from curation.voices import Voices

MOST_RESAMPLES = 100_000


def setting(default: float | str, *, says: str) -> Any:
    """A setting of a measure, with what it means, as `--set key=value` and the pages offer it."""
    return field(default=default, metadata={"help": says})


@dataclass(frozen=True, kw_only=True)
class Request:
    """Whose judgements of which pairs are measured, and how. Each measure adds its own settings.

    `voices`: whose. `where`: which pairs; those taken out of play stay out unless a criterion speaks of them.

    Raises:
        Refused: a setting is out of range.
    """

    measure: ClassVar[str]
    # Settings of every measure that this one has no use for: they are refused, not taken and passed over.
    without: ClassVar[tuple[str, ...]] = ()
    # The queue of a measure that loads a model: its workers can import torch. Empty: any worker measures it.
    queue: ClassVar[str] = ""

    voices: Voices = field(default_factory=Voices)
    where: tuple[Criterion, ...] = ()
    bootstrap: int = setting(1000, says="resamples of pairs for the 95 % intervals; 0 for none")

    def __post_init__(self) -> None:
        if not 0 <= self.bootstrap <= MOST_RESAMPLES:
            raise Refused(f"The bootstrap takes 0 to {MOST_RESAMPLES} resamples, not {self.bootstrap}.")

    def check_in(self, project: Project) -> None:
        """Whether the project can be measured so, as far as it can be told before any work is done.

        Raises:
            Refused: it cannot.
        """

    @property
    def is_whole(self) -> bool:
        """Nothing was left out: the project's own figure, which its pages show."""
        return self.voices == type(self)().voices and not self.where

    @classmethod
    def settings(cls) -> dict[str, Field[Any]]:
        return {one.name: one for one in fields(cls) if "help" in one.metadata and one.name not in cls.without}

    @classmethod
    def from_parameters(cls, parameters: dict[str, Any]) -> Self:
        """What `as_parameters` gave. A key that is missing has its default."""
        usual = cls()
        return cls(
            voices=Voices(
                kind=parameters.get("kind", usual.voices.kind),
                prefixes=tuple(parameters.get("annotators", usual.voices.prefixes)),
            ),
            where=tuple(from_json(parameters.get("where", []))),
            **{name: parameters[name] for name in cls.settings() if name in parameters},
        )

    def as_parameters(self) -> dict[str, Any]:
        return {
            "measure": self.measure,
            **({"queue": self.queue} if self.queue else {}),
            "kind": self.voices.kind,
            "annotators": list(self.voices.prefixes),
            "where": [one.as_json() for one in self.where],
            **{name: getattr(self, name) for name in self.settings()},
            "whole": self.is_whole,
        }


def parse_settings(request: type[Request], typed: Sequence[str]) -> dict[str, Any]:
    """Read settings as they are typed: key=value.

    Raises:
        Refused: an unknown key, with those that there are; a value of the wrong kind; a key twice.
    """
    known = request.settings()
    found: dict[str, Any] = {}
    for one in typed:
        key, equals, value = one.partition("=")
        key = key.strip()
        if not equals or key not in known:
            raise Refused(f"{one!r} is not a setting of {request.measure}. Write key=value with {', '.join(known)}.")
        if key in found:
            raise Refused(f"The setting {key} is given twice. Keep one.")
        kind: type[Any] = type(known[key].default)
        try:
            found[key] = kind(value.strip())
        except ValueError:
            what = {int: "a whole number", float: "a number"}[kind]
            raise Refused(f"The setting {key} is {what}, not {value.strip()!r}.") from None
    return found
