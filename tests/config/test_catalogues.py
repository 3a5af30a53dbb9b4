"""Translations without gettext: what is marked is found, catalogues are read and written, and German is complete."""

from __future__ import annotations

import ast
import gettext
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from config import catalogues
from config.catalogues import Entry, Key

ROOT = Path(settings.BASE_DIR)
CATALOGUES = catalogues.paths(ROOT)
GERMAN = """
# What a translator should know.
msgid ""
msgstr ""
"Content-Type: text/plain; charset=UTF-8\\n"
"Plural-Forms: nplurals=2; plural=(n != 1);\\n"

msgid "Judge"
msgstr "Beurteilen"

msgctxt "a \\"part\\" of a text"
msgid "Code"
msgstr "Quelltext"

#, python-format
msgid "%(n)s word"
msgid_plural "%(n)s words"
msgstr[0] "%(n)s Wort"
msgstr[1] ""
"%(n)s "
"Wörter"

#~ msgid "Gone"
#~ msgstr "Weg"
"""


@pytest.fixture(scope="module")
def found() -> dict[Key, list[str]]:
    return catalogues.marked(ROOT)


def entry(text: str, *forms: str, plural: str = "", **more: Any) -> Entry:
    return Entry(Key(text, plural=plural), list(forms), **more)


# ---- the house's own -------------------------------------------------------------------------------------------------


def test_there_is_a_catalogue_for_every_language_but_the_first() -> None:
    offered = {code.replace("-", "_") for code, _ in settings.LANGUAGES} - {settings.LANGUAGE_CODE.replace("-", "_")}
    assert {catalogues.language_of(path).lower() for path in CATALOGUES} == offered


@pytest.mark.parametrize("path", CATALOGUES, ids=catalogues.language_of)
def test_every_marked_text_is_translated_with_its_placeholders(path: Path, found: dict[Key, list[str]]) -> None:
    assert catalogues.faults(catalogues.read(path.read_text(encoding="utf-8")), found) == []


# What only leads, adjudicators, admins and commands are told is English: whole modules, or single functions of others.
ENGLISH = {
    *(
        "asking",
        "demonstrating",
        "dividing",
        "excluding",
        "founding",
        "generating",
        "prompting",
        "importing",
        "management",
        "marking_gold",
        "phrasing",
        "plans",
    ),
    *("reasoning", "recusing", "registering", "running", "starting", "values"),
    *(
        "access.model_of",
        "access.project_of",
    ),
    *("guiding._check", "guiding.publish_guideline", "guiding.version_of"),
    *("inviting._another_lead_remains", "inviting._locked", "inviting.change_role", "inviting.invite"),
    *("inviting.withdraw", "signing_in.change_account", "signing_in.create_admin", "signing_in.make_sign_in_link"),
}
REFUSALS = {"Refused", "Mendable", "Stale", "LeaseLost", "Unfit"}


def called(call: ast.Call) -> str:
    return getattr(call.func, "id", "") or getattr(call.func, "attr", "")


def unmarked(text: ast.AST) -> str:
    """The first words of a sentence that stand outside of a mark; what a call returns is looked at where it is made."""
    if isinstance(text, ast.Call):
        return ""
    if isinstance(text, ast.Constant):
        return text.value if isinstance(text.value, str) and re.search("[a-z]{2}", text.value) else ""
    filled = isinstance(text, ast.BinOp) and isinstance(text.op, ast.Mod)
    inside = [text.left] if filled else list(ast.iter_child_nodes(text))  # type: ignore[attr-defined]
    return next(filter(None, map(unmarked, inside)), "")


def refusals(source: str, module: str) -> Iterator[tuple[str, ast.AST]]:
    """The sentence of every refusal that is made, with the function that makes it: “judging.undo”."""
    for function in ast.walk(ast.parse(source)):
        if isinstance(function, ast.FunctionDef):
            for call in ast.walk(function):
                if isinstance(call, ast.Call) and called(call) in REFUSALS and call.args:
                    yield f"{module}.{function.name}", call.args[0]


def test_what_an_annotator_is_refused_with_is_marked() -> None:
    told, english = [], set()
    for path in sorted((ROOT / "annotation").rglob("*.py")):
        module = path.relative_to(ROOT / "annotation").with_suffix("").as_posix()
        for where, sentence in refusals(path.read_text(encoding="utf-8"), module):
            exempt = {module.partition("/")[0], where} & ENGLISH
            words = unmarked(sentence)
            english |= exempt if words else set()
            told += [f"{where}: {words}"] if words and not exempt else []
    assert told == []
    assert english == ENGLISH, "What is exempt and has nothing to be exempt for."


@pytest.mark.parametrize(
    ("sentence", "words"),
    [
        ("'Say why.'", "Say why."),
        ("f'{n} is too much.'", " is too much."),
        ("'%s is too much.' % n", "%s is too much."),
        ("_('Say why.') + ' Then send.'", " Then send."),
        ("_('Say why.')", ""),
        ("f'{_(\"Say why.\")} {closed}'", ""),
        ("why_lost(me)", ""),
    ],
)
def test_unmarked_words_are_found(sentence: str, words: str) -> None:
    source = f"def undo():\n    raise Refused({sentence})"
    assert [(where, unmarked(text)) for where, text in refusals(source, "judging")] == [("judging.undo", words)]


@pytest.mark.parametrize("path", CATALOGUES, ids=catalogues.language_of)
def test_the_compiled_catalogue_is_of_the_written_one(path: Path) -> None:
    entries = catalogues.read(path.read_text(encoding="utf-8"))
    assert path.with_suffix(".mo").read_bytes() == catalogues.compiled(entries)
    header = gettext.GNUTranslations(io.BytesIO(catalogues.compiled(entries))).info()
    assert header["language"] == catalogues.language_of(path)


@pytest.mark.parametrize("path", CATALOGUES, ids=catalogues.language_of)
def test_every_plural_form_is_told_by_its_number(path: Path) -> None:
    """Scripts learn from this entry which form goes with a number."""
    numbers = [
        one for one in catalogues.read(path.read_text()) if one.key.context.startswith("the number of this plural")
    ]
    assert [one.forms for one in numbers] == [[str(n) for n in range(catalogues.forms_of(_header(path)))]]


def _header(path: Path) -> Entry:
    return catalogues.read(path.read_text())[0]


def test_what_annotators_read_is_marked() -> None:
    """No words between the tags of their templates, and in no attribute, that a translation cannot reach."""
    folders = ["judging", "account", "mfa", "errors", "entrances"]
    files = [path for folder in folders for path in sorted((ROOT / "templates" / folder).rglob("*.html"))]
    bare = [f"{path.relative_to(ROOT)}: {words}" for path in files for words in _bare(path.read_text(encoding="utf-8"))]
    assert bare == []


def _bare(source: str) -> list[str]:
    rest = re.sub(
        r"\{% blocktranslate.*?endblocktranslate %\}|\{%.*?%\}|\{\{.*?\}\}|\{#.*?#\}", "\n", source, flags=re.S
    )
    read = re.findall(r"\b(?:aria-label|title|placeholder|alt)=\"([^\"]*)\"", rest)
    between = re.sub(r"<(svg|kbd|code)\b.*?</\1>|<[^>]*>", "\n", rest, flags=re.S)
    names = {"judging", "done", "Plumbline", "· Plumbline", 'class="entrance"', 'data-state="answers"', "·"}
    lines = [line.strip() for line in [*read, *between.splitlines()]]
    return [line for line in lines if re.search(r"[A-Za-z]{2}", line) and line not in names and "data-" not in line]


def test_the_scripts_hold_no_sentence_of_their_own() -> None:
    scripts = sorted((ROOT / "static" / "judging").glob("*.js"))
    assert scripts
    for path in scripts:
        code = re.sub(r"/\*.*?\*/|//[^\n]*", "", path.read_text(encoding="utf-8"), flags=re.S)
        said = re.findall(r"""(['"`])([A-Z][a-z]+ [a-z][^'"`]*)\1""", code)
        assert [words for _, words in said] == [], path.name


# ---- what is found ---------------------------------------------------------------------------------------------------


def project(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_html", ".html").replace("_py", ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_texts_are_found_in_code_and_templates(tmp_path: Path) -> None:
    root = project(
        tmp_path,
        annotation__one_py="from django.utils.translation import gettext as _\n"
        "a = _('Plain ' 'and joined')\nb = ngettext('%(n)s a', '%(n)s b', 2)\n"
        "c = pgettext('where', 'Here')\nd = _(text)\n",
        templates__page_html="""<p title="{% translate 'In an attribute' %}">{% translate "It's 5 %" %}
   {% blocktranslate trimmed count n=things|length %}{{ n }} thing{% plural %}
     {{ n }} <b>things</b>
   {% endblocktranslate %}{{ x|default:_("Nothing: at all") }}{% translate "Flag" context "a button" %}""",
    )
    assert catalogues.marked(root) == {
        Key("Plain and joined"): ["annotation/one.py"],
        Key("%(n)s a", plural="%(n)s b"): ["annotation/one.py"],
        Key("Here", "where"): ["annotation/one.py"],
        Key("In an attribute"): ["templates/page.html"],
        Key("It's 5 %%"): ["templates/page.html"],
        Key("%(n)s thing", plural="%(n)s <b>things</b>"): ["templates/page.html"],
        Key("Nothing: at all"): ["templates/page.html"],
        Key("Flag", "a button"): ["templates/page.html"],
    }


def test_a_text_that_is_put_together_cannot_be_marked(tmp_path: Path) -> None:
    root = project(
        tmp_path, annotation__one_py="from django.utils.translation import gettext as _\na = _(f'{x} pairs')\n"
    )
    with pytest.raises(catalogues.Unreadable, match=r"annotation/one\.py, line 2"):
        catalogues.marked(root)


# ---- written and read ------------------------------------------------------------------------------------------------


def test_a_catalogue_is_read_and_written_without_a_loss() -> None:
    entries = catalogues.read(GERMAN)
    assert [one.key.text for one in entries] == ["", "Judge", "Code", "%(n)s word"]
    assert entries[0].comments == ["What a translator should know."]
    assert entries[2].key.context == 'a "part" of a text'
    assert entries[3].forms == ["%(n)s Wort", "%(n)s Wörter"]
    assert catalogues.read(catalogues.written(entries)) == entries


@pytest.mark.parametrize("line", ["nonsense", 'msgid "open', 'msgstr[x] "one"'])
def test_a_broken_catalogue_is_named_with_its_line(line: str) -> None:
    with pytest.raises(catalogues.Unreadable, match=r"here\.po, line 2"):
        catalogues.read(f'msgid "one"\n{line}\n', "here.po")


def test_the_compiled_catalogue_is_read_by_gettext() -> None:
    said = gettext.GNUTranslations(io.BytesIO(catalogues.compiled(catalogues.read(GERMAN))))
    assert said.gettext("Judge") == "Beurteilen"
    assert said.pgettext('a "part" of a text', "Code") == "Quelltext"
    assert said.gettext("Code") == "Code"
    assert [said.ngettext("%(n)s word", "%(n)s words", n) for n in (1, 2)] == ["%(n)s Wort", "%(n)s Wörter"]


@pytest.mark.parametrize("path", CATALOGUES, ids=catalogues.language_of)
def test_gettext_says_what_another_reader_finds_in_the_catalogue(path: Path) -> None:
    """Every text, of what is committed: neither our reader nor our compiler takes part."""
    written = another_reader(path.read_text(encoding="utf-8"))
    with path.with_suffix(".mo").open("rb") as compiled:
        said = gettext.GNUTranslations(compiled)._catalog  # type: ignore[attr-defined]
    assert said == written
    assert len(said) > 400


LINE = re.compile(r'(?:(msgctxt|msgid|msgid_plural|msgstr|msgstr\[\d\]) )?"((?:[^"\\]|\\["\\nt])*)"')
ESCAPED = {'"': '"', "\\": "\\", "n": "\n", "t": "\t"}


def another_reader(text: str) -> dict[Any, str]:
    """As gettext keeps a catalogue: by text, or by text and number of the form; the context before it, and \\x04."""
    said: dict[Any, str] = {}
    parts: dict[str, str] = {}
    last = ""
    for line in filter(None, text.splitlines()):
        if line.startswith("#"):
            assert "fuzzy" not in line
            continue
        found = LINE.fullmatch(line)
        assert found, line
        keyword, quoted = found.groups()
        if keyword == "msgctxt" or (keyword == "msgid" and last != "msgctxt"):
            parts = {}
        last = keyword or last
        assert not keyword or last not in parts, "Each part stands once."
        parts[last] = parts.get(last, "") + re.sub(r"\\(.)", lambda one: ESCAPED[one[1]], quoted)
        if last.startswith("msgstr"):
            context = f"{parts['msgctxt']}\x04" if "msgctxt" in parts else ""
            key = context + parts["msgid"]
            assert not keyword or key not in said, "Each text stands once."
            said[(key, int(last[-2])) if last.endswith("]") else key] = parts[last]
    return said


# ---- following the code ----------------------------------------------------------------------------------------------


def test_a_catalogue_follows_the_code_and_keeps_what_was_translated() -> None:
    entries = catalogues.read(GERMAN)
    now = catalogues.updated(entries, {Key("Judge"): ["a.py"], Key("%(n)s pair", plural="%(n)s pairs"): ["b.html"]})
    assert [(one.key.text, one.forms) for one in now[1:]] == [("Judge", ["Beurteilen"]), ("%(n)s pair", ["", ""])]
    assert now[2].flags == ["python-format"]
    assert now[0].forms == entries[0].forms


@pytest.mark.parametrize(
    ("ill", "fault"),
    [
        (entry("One", ""), "not translated"),
        (entry("One", "Eins", flags=["fuzzy"]), "fuzzy"),
        (entry("%(n)s of %(all)s", "%(n)s"), "placeholders differ"),
        (entry("%(n)s", "%(n)s %(more)s"), "placeholders differ"),
        (entry("%(n)s a", "ein A", "viele A", plural="%(n)s b"), "placeholders differ"),
        (entry("<b>One</b>", "Eins"), "markup differs"),
        (entry("One", 'Das "Eins"'), "quotation mark"),
        (entry("One", "Eins "), "white space"),
    ],
)
def test_a_fault_is_named(ill: Entry, fault: str) -> None:
    said = catalogues.faults([ill], {ill.key: ["page.html"]})
    assert said
    assert all(fault in one for one in said)


def test_a_singular_may_do_without_its_number() -> None:
    one = entry("One pair", "Ein Paar", "%(n)s Paare", plural="%(n)s pairs")
    assert catalogues.faults([one], {one.key: ["page.html"]}) == []


def test_what_is_missing_and_what_is_too_much_is_named() -> None:
    said = catalogues.faults([entry("Old", "Alt")], {Key("New"): ["page.html"]})
    assert [line.split(":")[-2].strip() for line in said] == ["not in the catalogue", "no longer in the code"]


def test_the_command_brings_a_catalogue_up_to_date(tmp_path: Path, settings: Any, capsys: Any) -> None:
    root = project(tmp_path, templates__page_html='{% translate "Judge" %}{% translate "Skip" %}')
    settings.BASE_DIR = root
    call_command("messages", add="de")
    path = root / "locale" / "de" / "LC_MESSAGES" / "django.po"
    assert "not translated: 'Judge'" in capsys.readouterr().err
    path.write_text(path.read_text().replace('msgid "Judge"\nmsgstr ""', 'msgid "Judge"\nmsgstr "Beurteilen"'))
    with pytest.raises(CommandError, match="2 texts are not right"):
        call_command("messages", check=True)
    path.write_text(path.read_text().replace('msgid "Skip"\nmsgstr ""', 'msgid "Skip"\nmsgstr "Überspringen"'))
    call_command("messages")
    call_command("messages", check=True)
    with path.with_suffix(".mo").open("rb") as compiled:
        assert gettext.GNUTranslations(compiled).gettext("Skip") == "Überspringen"
    with pytest.raises(CommandError, match="is there already"):
        call_command("messages", add="de")
