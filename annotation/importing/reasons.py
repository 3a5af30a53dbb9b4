"""Why a row can be refused, and how to say it.

REASONS is the one table of them: the report, the page, docs/importing.md and the tests read it.
"""

from __future__ import annotations

import unicodedata
from dataclasses import asdict, dataclass

# The limits that rows are held to.
LONGEST_LINE = 8 * 2**20
LONGEST_TEXT = 1_000_000
MOST_COLUMNS = 1_000
DEEPEST = 60

# code -> what is wrong in a few words (for counts), and how to mend it.
REASONS: dict[str, tuple[str, str]] = {
    # The file's lines.
    "not_json": ("not valid JSON", "The line breaks off or lacks a comma or a quotation mark; export it again."),
    "not_an_object": ("not a JSON object", "A row is an object with named values, as {…}."),
    "not_csv": (
        "not valid CSV",
        "Put text with separators or quotation marks into quotation marks, and double those inside.",
    ),
    "cell_count": ("another number of cells than the header", "Quote cells that hold the separator."),
    "invalid_utf8": ("not valid UTF-8", "Save the file as UTF-8."),
    "line_too_long": (
        f"longer than {LONGEST_LINE // 2**20} MB",
        "Shorten the row; a text may have 1,000,000 characters.",
    ),
    "too_deep": (f"nested deeper than {DEEPEST} levels", "Flatten the value, or leave it out."),
    "too_many_columns": (f"more than {MOST_COLUMNS:,} values", "Leave out the columns that are not needed."),
    # Single values.
    "missing_key": ("a value is missing", "Add it, or choose the layout that the file really has."),
    "wrong_type": ("a value of the wrong type", "Write it in the type that the layout names."),
    "bad_value": ("a value that cannot be", "Write one of the values that the layout knows."),
    "not_finite": ("a number that is NaN or infinite", "Write null, or a number."),
    "nul": ("a NUL character", "Remove the character U+0000; the database cannot keep it in text."),
    "lone_surrogate": ("half of a character", "Write the whole character; it was cut in two (a lone surrogate)."),
    "text_too_long": (f"a text of more than {LONGEST_TEXT:,} characters", "Shorten the text, or leave the row out."),
    # Conversations.
    "empty_prompt": ("an empty prompt", "Fill it in, or leave the row out."),
    "empty": ("an empty answer", "Fill it in, or say --allow empty if the model really said nothing."),
    "identical": ("twice the same answer", "A pair needs two different answers; or say --allow identical."),
    "unknown_role": ("an unknown role", "Use system, user, assistant or tool."),
    "roles_out_of_order": (
        "messages out of order",
        "A conversation begins with the user (a system message may stand first), then the two take turns, "
        "and each answer is the assistant's.",
    ),
    "no_common_prompt": (
        "two answers without a common prompt",
        "Both conversations must begin with the same messages.",
    ),
    "unknown_label": ("an unknown label", "Write one of the labels that the layout knows."),
    # Against the rest of the file, and what is here already.
    "duplicate_id": ("an id that stands in the file twice", "Give each row its own id, or leave one of the rows out."),
    "other_text": (
        "already here with other text",
        "Nothing is changed by an import: give the new text an id of its own.",
    ),
    "other_label": ("already here with another label", "Labels are never changed by an import: leave the row out."),
    # Judgements and votes.
    "ambiguous_item": ("an id that several pairs have", "Name the source of the item too."),
    "judged_otherwise": (
        "already judged otherwise",
        "Judgements are never changed by an import: leave the row out.",
    ),
    "duplicate_judgement": ("a second judgement of one annotator on one item", "Leave one of the rows out."),
    "unknown_principles": (
        "principles that the file of principles does not have",
        "Give the file that holds this list.",
    ),
    "vote_count": ("another number of votes than principles", "Give one vote per principle, in their order."),
    "text_not_here": ("a text that no pair of its item has", "Import the pairs with this very text first."),
    "explained_otherwise": (
        "already explained otherwise",
        "Rationales are never changed by an import: leave the row out.",
    ),
    "voted_otherwise": ("already voted otherwise", "Votes are never changed by an import: leave the row out."),
}


class Bad(Exception):
    """One row cannot be taken in. `what` is a sentence that names the value; the way to mend it comes from REASONS."""

    def __init__(self, reason: str, what: str, text: object = "") -> None:
        super().__init__(what)
        self.reason = reason
        self.what = what
        self.text = text


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refused row. `line` is its line in the file (CSV, JSON), or its row, counted from 1 (Parquet, Arrow)."""

    line: int
    reason: str
    sentence: str
    excerpt: str
    item: str = ""

    @property
    def as_dict(self) -> dict[str, object]:
        return asdict(self)


def refusal(line: int, bad: Bad, item: str = "") -> Refusal:
    return Refusal(line, bad.reason, f"{bad.what} {REASONS[bad.reason][1]}", shown(bad.text), shown(item, 80))


def shown(value: object, length: int = 120) -> str:
    """`value` as one short line in which nothing hides: control, invisible and direction characters are written out.

    >>> shown("invoice\\u202efdp.exe")
    'invoice‹U+202E›fdp.exe'
    """
    text = value if isinstance(value, str) else str(value)
    more = len(text) - length
    out = []
    for character in text[:length]:
        if character == "\n":
            out.append("⏎")
        elif character != " " and unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"):
            out.append(f"‹U+{ord(character):04X}›")
        else:
            out.append(character)
    return "".join(out) + (f"… {more:,} more" if more > 0 else "")
