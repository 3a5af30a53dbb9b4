"""Parameters of runs -> typed plans: what stands in a run's row is read strictly, or refused with a sentence."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from annotation.errors import Refused

UNSTORABLE = re.compile("[\0\ud800-\udfff]")


class Fields:
    """The parameters of one run, read one by one. A key that is missing has its default.

    Every reader raises `Refused` with the parameter's name, what is wrong and what would be right; so does the making,
    for a key that is not known.
    """

    def __init__(self, given: Mapping[str, Any], *, of: str, known: Iterable[str]) -> None:
        self._given, self._of = given, of
        names = sorted(known)
        if strange := sorted(set(given) - set(names)):
            raise Refused(f"{of} has no parameter {strange[0]!r}. Known are: {', '.join(names)}.")

    def text(self, name: str, default: str = "") -> str:
        value = self._given.get(name, default)
        if not isinstance(value, str):
            raise self._wrong(name, "a text", value)
        return self._storable(name, value)

    def texts(self, name: str, default: Iterable[str] = ()) -> tuple[str, ...]:
        value = self._given.get(name, list(default))
        if not isinstance(value, list | tuple) or not all(isinstance(one, str) for one in value):
            raise self._wrong(name, "a list of texts", value)
        return tuple(self._storable(name, one) for one in value)

    def numbers(self, name: str) -> tuple[int, ...]:
        value = self._given.get(name, [])
        if not isinstance(value, list | tuple) or not all(type(one) is int for one in value):
            raise self._wrong(name, "a list of whole numbers", value)
        return tuple(value)

    def whole(self, name: str, default: int) -> int:
        value = self._given.get(name, default)
        if type(value) is not int:
            raise self._wrong(name, "a whole number", value)
        return value

    def maybe(self, name: str) -> int | None:
        value = self._given.get(name, None)
        if value is not None and type(value) is not int:
            raise self._wrong(name, "a whole number or nothing", value)
        return value

    def number(self, name: str, default: float) -> float:
        value = self._given.get(name, default)
        if type(value) not in (int, float):
            raise self._wrong(name, "a number", value)
        return float(value)

    def truth(self, name: str, default: bool) -> bool:
        value = self._given.get(name, default)
        if type(value) is not bool:
            raise self._wrong(name, "true or false", value)
        return value

    def _storable(self, name: str, value: str) -> str:
        """JSON can hold what the database cannot: NUL, and halves of characters (lone surrogates)."""
        if strange := UNSTORABLE.search(value):
            code = f"U+{ord(strange[0]):04X}"
            raise Refused(
                f"The parameter {name} of {self._of.lower()} holds the character {code}, which cannot be stored. "
                "Leave it out."
            )
        return value

    def _wrong(self, name: str, wanted: str, value: Any) -> Refused:
        return Refused(f"The parameter {name} of {self._of.lower()} must be {wanted}, not {value!r:.60}.")


def check_range(name: str, value: float, low: float, high: float) -> None:
    """Raises `Refused` for a number outside low..high, and for nan."""
    if not low <= value <= high:
        raise Refused(f"The {name} is {value}. It must lie from {low} to {high}.")


def check_choice(name: str, value: str, known: Iterable[str]) -> None:
    """Raises `Refused` for a name that is not known."""
    names = list(known)
    if value not in names:
        raise Refused(f"There is no {name} {value!r}. Known are: {', '.join(names)}.")
