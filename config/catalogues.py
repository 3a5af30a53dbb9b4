"""Translation catalogues without GNU gettext: which texts are marked, `.po` files read and written, `.mo` compiled.

    manage.py messages            every catalogue follows the code and is compiled
    manage.py messages --check    says what is missing, changes nothing

The formats are those of gettext (its manual, "The Format of PO Files" and "The Format of GNU MO Files"), so that every
translation editor opens them.
"""

from __future__ import annotations

import ast
import io
import re
import struct
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from django.utils.translation.template import templatize

# A function that marks texts, and what its arguments are: context, text, plural.
MARKS = {
    "gettext": "t",
    "gettext_lazy": "t",
    "gettext_noop": "t",
    "_": "t",
    "ngettext": "tp",
    "ngettext_lazy": "tp",
    "ngettext_noop": "tp",
    "pgettext": "ct",
    "pgettext_lazy": "ct",
    "_in": "ct",
    "npgettext": "ctp",
    "npgettext_lazy": "ctp",
}
PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|%%")
PLACES = 3


@dataclass(frozen=True)
class Key:
    """What makes a text one text: the same words in another context are another text."""

    text: str
    context: str = ""
    plural: str = ""


@dataclass
class Entry:
    """A text in a catalogue; `forms` are its translations, one unless it has a plural."""

    key: Key
    forms: list[str] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    flags: list[str] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)

    @property
    def is_translated(self) -> bool:
        return bool(self.forms) and all(self.forms) and "fuzzy" not in self.flags


class Unreadable(ValueError):
    """A catalogue, or a marked text, cannot be read. The text says where."""


# ---- what is marked --------------------------------------------------------------------------------------------------


def marked(root: Path) -> dict[Key, list[str]]:
    """Every marked text of the project, with the files that hold it, in the order of files and places."""
    found: dict[Key, list[str]] = {}
    for path in _sources(root):
        name = path.relative_to(root).as_posix()
        read = _in_python if path.suffix == ".py" else _in_template
        for key in read(path.read_text(encoding="utf-8"), name):
            places = found.setdefault(key, [])
            if name not in places:
                places.append(name)
    return found


def _sources(root: Path) -> Iterator[Path]:
    for room in ("annotation", "config", "curation", "workers"):
        yield from sorted(path for path in (root / room).rglob("*.py") if "migrations" not in path.parts)
    yield from sorted(path for path in (root / "templates").rglob("*") if path.suffix in (".html", ".txt"))


def _in_python(source: str, name: str) -> Iterator[Key]:
    if "translation" not in source:
        return
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in MARKS:
            shape = MARKS[node.func.id]
            given = node.args[: len(shape)]
            words = [one.value for one in given if isinstance(one, ast.Constant) and isinstance(one.value, str)]
            if len(words) == len(shape):
                yield _key(shape, words)
            elif any(isinstance(one, ast.JoinedStr) for one in given):
                raise Unreadable(f"{name}, line {node.lineno}: a marked text must be one literal.")


def _in_template(source: str, name: str) -> Iterator[Key]:
    try:
        program = templatize(source, origin=name)
    except SyntaxError as error:
        raise Unreadable(str(error)) from error
    # Lines stand where the template indented them; what was not marked is made of Xs.
    lines = "\n".join(line.strip() for line in program.splitlines())
    tokens = list(_tokens(lines))
    for at, token in enumerate(tokens[:-1]):
        if token.string in MARKS and tokens[at + 1].string == "(":
            shape = MARKS[token.string]
            words = [one.string for one in tokens[at + 2 : at + 2 + 2 * len(shape)] if one.type == tokenize.STRING]
            yield _key(shape, [str(ast.literal_eval(word)) for word in words[: len(shape)]])


def _tokens(program: str) -> Iterator[tokenize.TokenInfo]:
    try:
        yield from tokenize.generate_tokens(io.StringIO(program).readline)
    except tokenize.TokenError:  # An open bracket at the end: everything before it was read.
        return


def _key(shape: str, words: list[str]) -> Key:
    given = dict(zip(shape, words, strict=True))
    return Key(text=given["t"], context=given.get("c", ""), plural=given.get("p", ""))


# ---- catalogues as text ----------------------------------------------------------------------------------------------

FIELD = re.compile(r'^(msgctxt|msgid|msgid_plural|msgstr(?:\[\d+\])?)\s+(".*")$')


def read(text: str, name: str = "the catalogue") -> list[Entry]:
    """The entries of a `.po` file, the header (the text "") first; obsolete ones (`#~`) are left out.

    Raises:
        Unreadable: with the number of the line.
    """
    entries: list[Entry] = []
    fields: dict[str, str] = {}
    notes: dict[str, list[str]] = {"#.": [], "#:": [], "#,": [], "# ": []}
    last = ""

    def close() -> None:
        nonlocal last
        if fields:
            strings = sorted((part for part in fields if part.startswith("msgstr")), key=lambda part: (len(part), part))
            key = Key(fields.get("msgid", ""), fields.get("msgctxt", ""), fields.get("msgid_plural", ""))
            flags = [flag.strip() for line in notes["#,"] for flag in line.split(",")]
            places = [place for line in notes["#:"] for place in line.split()]
            entries.append(Entry(key, [fields[part] for part in strings], places, flags, notes["# "] + notes["#."]))
            fields.clear()
            for kept in notes.values():
                kept.clear()
        last = ""

    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        if not line:
            close()
        elif line.startswith("#"):
            if last.startswith("msgstr"):
                close()
            kind = line[:2] if line[:2] in notes else "# "
            if not line.startswith("#~"):
                notes[kind].append(line[2:].strip())
        elif found := FIELD.match(line):
            if found[1] in ("msgctxt", "msgid") and last.startswith("msgstr"):
                close()
            last = found[1]
            fields[last] = _unquoted(found[2], name, number)
        elif line.startswith('"') and last:
            fields[last] += _unquoted(line, name, number)
        else:
            raise Unreadable(f"{name}, line {number}: this is no line of a catalogue: {line[:60]!r}")
    close()
    return entries


def _unquoted(text: str, name: str, number: int) -> str:
    try:
        return str(ast.literal_eval(text))
    except (SyntaxError, ValueError):
        raise Unreadable(f"{name}, line {number}: the quotation marks do not fit: {text[:60]}") from None


def written(entries: Iterable[Entry]) -> str:
    """The text of a `.po` file."""
    return "\n".join(_written(entry) for entry in entries)


def _written(entry: Entry) -> str:
    lines = [f"# {comment}".rstrip() for comment in entry.comments]
    if entry.places:
        more = [f"(and {len(entry.places) - PLACES} more)"] if len(entry.places) > PLACES else []
        lines.append("#: " + " ".join([*entry.places[:PLACES], *more]))
    if entry.flags:
        lines.append("#, " + ", ".join(entry.flags))
    if entry.key.context:
        lines.append(f"msgctxt {_quoted(entry.key.context)}")
    lines.append(f"msgid {_quoted(entry.key.text)}")
    if entry.key.plural:
        lines.append(f"msgid_plural {_quoted(entry.key.plural)}")
        lines += [f"msgstr[{n}] {_quoted(form)}" for n, form in enumerate(entry.forms)]
    else:
        lines.append(f"msgstr {_quoted(entry.forms[0] if entry.forms else '')}")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t").replace("\n", "\\n")
    if escaped.count("\\n") > 1:
        return '""\n' + "\n".join(f'"{line}"' for line in re.findall(r".*?\\n|.+$", escaped))
    return f'"{escaped}"'


# ---- a catalogue follows the code ------------------------------------------------------------------------------------


def updated(entries: list[Entry], found: dict[Key, list[str]]) -> list[Entry]:
    """The header, and an entry for every marked text: its translation as it was, or empty. What is gone is left out."""
    known = {entry.key: entry for entry in entries}
    header = known.get(Key("")) or Entry(Key(""), [HEADER])
    forms = forms_of(header)
    made = [header]
    for key, places in found.items():
        old = known.get(key)
        count = forms if key.plural else 1
        flags = ["python-format"] if PLACEHOLDER.search(key.text + key.plural) else []
        flags += [flag for flag in (old.flags if old else []) if flag not in flags and flag != "python-format"]
        kept = (old.forms if old else [])[:count]
        made.append(Entry(key, kept + [""] * (count - len(kept)), places, flags, list(old.comments) if old else []))
    return made


HEADER = "Content-Type: text/plain; charset=UTF-8\nPlural-Forms: nplurals=2; plural=(n != 1);\n"


def forms_of(header: Entry) -> int:
    """How many plural forms the language has."""
    found = re.search(r"nplurals\s*=\s*(\d+)", header.forms[0] if header.forms else "")
    return int(found[1]) if found else 2


def faults(entries: list[Entry], found: dict[Key, list[str]]) -> list[str]:
    """What keeps a catalogue from being a full translation, a sentence each."""
    known = {entry.key: entry for entry in entries}
    said = []
    for key, places in found.items():
        entry = known.get(key)
        if entry is None:
            said.append(f"{places[0]}: not in the catalogue: {key.text!r}")
        elif "fuzzy" in entry.flags:
            said.append(f"{places[0]}: marked as fuzzy: {key.text!r}")
        elif not entry.is_translated:
            said.append(f"{places[0]}: not translated: {key.text!r}")
        else:
            said += [f"{places[0]}: {fault}" for fault in _ill(entry)]
    said += [f"no longer in the code: {key.text!r}" for key in known if key.text and key not in found]
    return said


def _ill(entry: Entry) -> Iterator[str]:
    """Placeholders that differ, markup that differs, white space at the ends that differs."""
    key = entry.key
    originals = [key.text, *([key.plural] if key.plural else [])]
    holders = set().union(*(_holders(one) for one in originals))
    least = set.intersection(*(_holders(one) for one in originals))
    for form in entry.forms:
        if not least <= _holders(form) <= holders:
            yield f"placeholders differ: {key.text!r} and {form!r}"
        if sorted(re.findall(r"</?\w+", form)) != sorted(re.findall(r"</?\w+", key.text)):
            yield f"markup differs: {key.text!r} and {form!r}"
        if '"' in form and '"' not in key.text:
            yield f"a straight quotation mark would end an attribute: {form!r}"
        if form != form.strip() and key.text == key.text.strip():
            yield f"white space at an end: {form!r}"


def _holders(text: str) -> set[str]:
    return {one for one in PLACEHOLDER.findall(text) if one != "%%"}


# ---- compiled --------------------------------------------------------------------------------------------------------


def compiled(entries: Iterable[Entry]) -> bytes:
    """The `.mo` file: two tables of lengths and offsets, sorted by text; what is not translated is left out."""
    pairs = sorted(
        (_identity(entry.key).encode(), "\0".join(entry.forms).encode()) for entry in entries if entry.is_translated
    )
    start = 28
    texts, translations = b"", b""
    places: list[tuple[int, int, int, int]] = []
    for text, translation in pairs:
        places.append((len(text), len(texts), len(translation), len(translations)))
        texts += text + b"\0"
        translations += translation + b"\0"
    first = start + 16 * len(pairs)
    table = [number for length, at, _, _ in places for number in (length, first + at)]
    table += [number for _, _, length, at in places for number in (length, first + len(texts) + at)]
    head = struct.pack("<7I", 0x950412DE, 0, len(pairs), start, start + 8 * len(pairs), 0, first)
    return head + struct.pack(f"<{len(table)}I", *table) + texts + translations


def _identity(key: Key) -> str:
    text = f"{key.text}\0{key.plural}" if key.plural else key.text
    return f"{key.context}\x04{text}" if key.context else text


def paths(root: Path) -> list[Path]:
    return sorted((root / "locale").glob("*/LC_MESSAGES/django.po"))


def language_of(path: Path) -> str:
    return path.parent.parent.name
