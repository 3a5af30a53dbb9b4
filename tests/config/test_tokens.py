"""The colours of every page: each pair that stands together can be told apart in both themes (WCAG 1.4.3, 1.4.11).

Computed from static/tokens.css, so that it holds where axe-core cannot decide: over painted highlights, under signs
over a text, in states that no test opens.
"""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

SHEET = (Path(__file__).resolve().parents[2] / "static" / "tokens.css").read_text()
GROUNDS = ["paper", "surface", "sunken"]
SOFT = ["a-soft", "b-soft", "good-soft", "warn-soft", "bad-soft"]
WORDS = ["ink", "ink-2", "ink-3", "accent", "accent-hover", "a", "b", "good", "warn", "bad"]
WORDS += ["consensus", "conflict", "indifference"]
CODE = ["code-kw", "code-str", "code-num", "code-fn", "code-com"]
TEXT = [
    *itertools.product(WORDS, GROUNDS),
    *itertools.product(CODE, GROUNDS),
    *itertools.product(["ink", "ink-2"], SOFT),
    *[("on-a", "a"), ("on-b", "b"), ("accent-ink", "accent"), ("accent-ink", "accent-hover")],
    # Signs and chosen controls: the ground as a word on a colour.
    *[("paper", "ink"), ("surface", "ink"), ("paper", "ink-2"), ("surface", "good"), ("surface", "bad")],
]
OTHER = [*itertools.product(["line-strong", "focus", "a", "b", "good", "bad", "warn"], GROUNDS), ("focus", "a-soft")]


def themes() -> dict[str, dict[str, str]]:
    light, dark = re.split(
        r"@media screen and \(prefers-color-scheme: dark\)", SHEET.split("@media (prefers-contrast")[0]
    )

    def colours(text: str) -> dict[str, str]:
        return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", text))

    return {"light": colours(light), "dark": colours(light) | colours(dark)}


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2), 0 to 1."""
    channels = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_that_of_the_guideline() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_words_and_lines_stand_out_from_every_ground(theme: str) -> None:
    colours = themes()[theme]
    faint = [
        f"{one} on {other}: {contrast(colours[one], colours[other]):.2f}"
        for one, other in TEXT
        if contrast(colours[one], colours[other]) < 4.5
    ]
    faint += [
        f"{one} on {other}: {contrast(colours[one], colours[other]):.2f}"
        for one, other in OTHER
        if contrast(colours[one], colours[other]) < 3
    ]
    assert faint == []
