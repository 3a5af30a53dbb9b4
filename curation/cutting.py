"""What is written of a cut by difficulty -> the cut: 0.5, or small=MODEL:0.5 for the model that it is cut for."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from annotation.errors import Refused

# Of a cut, in the name of its config.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,29}")
LONGEST_MODEL = 300


@dataclass(frozen=True, order=True)
class Cut:
    """The `share` of the pairs that are easiest for `model`, as a config of its own.

    `name` and `model` are both empty, or neither: without them it goes by the model that the whole release names.
    `run`: by that run's measurement; None for the latest.
    """

    share: float
    name: str = ""
    model: str = ""
    run: int | None = field(default=None, compare=False)

    @property
    def told(self) -> float | str:
        """As it is written, for parameters: read again it is the same."""
        return f"{self.name}={self.model}:{self.share!r}" if self.name else self.share

    @property
    def in_percent(self) -> str:
        """As the page of a draft has it."""
        share = f"{self.share * 100:.10g}"
        return f"{self.name}={self.model}:{share}" if self.name else share

    def config(self, layout: str) -> str:
        """What its config is called."""
        return f"{layout}-easiest-{self.share * 100:g}{f'-{self.name}' if self.name else ''}"


def cut_of(given: float | str | Cut, *, of: float = 1.0) -> Cut:
    """Read one cut; `of` is the whole: 100 where shares are in percent.

    Raises:
        Refused: it is none, with what would be right.
    """
    if isinstance(given, Cut):
        return given
    text = str(given).strip()
    name, has_name, rest = text.partition("=")
    model, has_model, share = rest.rpartition(":") if has_name else ("", "", text)
    name, model = (name.strip(), model.strip()) if has_name else ("", "")
    example = f"small=MODEL:{of / 2:g}"
    if has_name and not (NAME.fullmatch(name) and has_model and model and len(model) <= LONGEST_MODEL):
        raise Refused(
            f"{_short(text)} is no cut for a model. Write a name of at most 30 letters, digits, dashes and "
            f"underscores, the model and the share, as {example}."
        )
    try:
        value = float(share)
    except ValueError:
        value = math.nan
    value = round(value / of, 6) if of != 1 else value
    if not math.isfinite(value):
        raise Refused(f"{_short(text)} is not a share. Write a number, as {of / 2:g}, or {example} for a model.")
    if not 0 < value < 1:
        raise Refused(
            f"A cut is a share of the pairs of more than 0 and less than {of:g}, not {_short(share.strip())}: "
            f"{of / 2:g} is the easier half."
        )
    return Cut(value, name, model)


def cuts_of(given: Sequence[float | str | Cut], *, of: float = 1.0) -> tuple[Cut, ...]:
    """All of them, each once, the smallest share first.

    Raises:
        Refused: as `cut_of`; or two have one name and are not the same.
    """
    found = sorted({cut_of(one, of=of) for one in given})
    names = [one.name for one in found if one.name]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise Refused(f"Two cuts are called {twice[0]}. Give each a name of its own.")
    if len({one.config("") for one in found}) < len(found):
        raise Refused("Two cuts are so nearly the same that their configs would have one name.")
    return tuple(found)


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:60]}…")
