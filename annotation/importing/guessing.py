"""Which column is what: guesses from the names of columns, for the form in which a person says it. Pure."""

from __future__ import annotations

from collections.abc import Sequence

# What the form asks for, in its order: the name of layouts.FIELDS, and how the form calls it.
ASKED = {
    "prompt": "Prompt",
    "response_a": "First answer",
    "response_b": "Second answer",
    "label": "Which is better",
    "reason": "Reason",
    "language": "Language",
    "id": "Your own id",
    "source": "Source",
    "system": "System message",
    "model_a": "Model of the first",
    "model_b": "Model of the second",
}
SIDES = {"a": ("First is better", "1"), "b": ("Second is better", "2"), "tie": ("Same", "0")}

# Names that columns of public and private files have for these things, the likeliest first.
_USUAL: dict[str, str] = {
    "prompt": "prompt question instruction query input context user frage pregunta",
    "response_a": "response_a answer_a response_1 response1 answer_1 answer1 chosen first_answer antwort_1 a",
    "response_b": "response_b answer_b response_2 response2 answer_2 answer2 rejected second_answer antwort_2 b",
    "label": "label winner preference preferred better choice verdict besser",
    "reason": "reason rationale explanation justification comment note notiz",
    "language": "language lang locale sprache",
    "id": "id item_id uid uuid idx index key",
    "source": "source dataset origin",
    "system": "system system_prompt",
    "model_a": "model_a model_1 model1",
    "model_b": "model_b model_2 model2",
}


def guess_columns(columns: Sequence[str]) -> dict[str, str]:
    """A column for each field that a column's name speaks for; no column twice.

    >>> guess_columns(["Frage", "antwort_1", "antwort_2", "quelle_id"])
    {'prompt': 'Frage', 'response_a': 'antwort_1', 'response_b': 'antwort_2', 'id': 'quelle_id'}
    """
    plain = {column: column.strip().lower().replace(" ", "_").replace("-", "_") for column in columns}
    found: dict[str, str] = {}
    for exact in (True, False):
        for field, names in _USUAL.items():
            if field in found:
                continue
            for name in names.split():
                fits = [c for c in columns if c not in found.values() and _fits(plain[c], name, exact=exact)]
                if fits:
                    found[field] = fits[0]
                    break
    return {field: found[field] for field in ASKED if field in found}


def _fits(column: str, name: str, *, exact: bool) -> bool:
    """The name itself; or its end after a dash, or with more than three letters any part of it."""
    if exact:
        return column == name
    return len(name) > 1 and (column.endswith(f"_{name}") or (len(name) > 3 and name in column))
