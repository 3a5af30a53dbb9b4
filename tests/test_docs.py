"""What is documented is there, and what is there is documented."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import get_commands, load_command_class

ROOT = Path(__file__).resolve().parents[1]
README, CONTRIBUTING = (ROOT / "README.md").read_text(), (ROOT / "CONTRIBUTING.md").read_text()
OPERATING, GLOSSARY = (ROOT / "docs/operating.md").read_text(), (ROOT / "docs/glossary.md").read_text()
TARGETS = re.findall(r"^([a-z][a-z-]*):.*## ", (ROOT / "Makefile").read_text(), flags=re.M)
OUR_COMMANDS = sorted(name for name, app in get_commands().items() if app in {"annotation", "curation"})
# The things of the data model, as DESIGN names them, and the words around them.
WORDS = ["Project", "Prompt", "Candidate", "Pair", "Principle", "Guideline", "Annotator", "Judge", "Role", "Overlap"]
WORDS += [
    "Slot",
    "Assignment",
    "Lease",
    "Draft",
    "Judgement",
    "Verdict",
    "Strength",
    "Vote",
    "Rationale",
    "Span",
    "Gold",
]
WORDS += ["Run", "Measurement", "Agreement", "Discretion", "Selection", "Release", "Manifest", "Event"]
LINK = re.compile(r"\[[^\]]*\]\((?!https?://)([^)#]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("name", settings.KNOWN)
def test_each_setting_is_documented(name):
    assert f"| `{name}` |" in OPERATING


def test_no_setting_is_documented_that_is_not_there():
    documented = set(re.findall(r"^\| `([A-Z_]+)` \|", OPERATING, flags=re.M))
    assert documented == set(settings.KNOWN)


def test_the_environment_is_read_in_the_settings_only():
    """Besides them: the embedded database, which Django's settings need, and what names the settings module."""
    allowed = {"config/settings.py", "config/embedded.py"}
    found = []
    for room in ("annotation", "curation", "workers", "config"):
        for path in (ROOT / room).rglob("*.py"):
            text = path.read_text(encoding="utf-8").replace('os.environ.setdefault("DJANGO_SETTINGS_MODULE"', "")
            name = path.relative_to(ROOT).as_posix()
            if name not in allowed and re.search(r"os\.environ(\.get\(|\[)|os\.getenv", text):
                found.append(name)
    assert found == []


@pytest.mark.parametrize("target", TARGETS)
def test_each_target_is_in_readme_or_contributing(target):
    assert target == "help" or f"make {target}" in README + CONTRIBUTING


@pytest.mark.parametrize("name", OUR_COMMANDS)
def test_each_command_is_documented_and_explains_itself(name):
    assert f"| `{name}` |" in OPERATING
    assert load_command_class(get_commands()[name], name).help.strip()


def test_no_command_is_documented_that_is_not_there():
    texts = README + OPERATING + CONTRIBUTING
    assert set(re.findall(r"manage\.py ([a-z_]+)", texts)) <= set(get_commands())
    assert set(re.findall(r"^\| `([a-z_]+)` \|", OPERATING, flags=re.M)) <= set(get_commands())


@pytest.mark.parametrize("word", WORDS)
def test_the_glossary_has_each_word(word):
    assert f"- **{word}**" in GLOSSARY


@pytest.mark.parametrize(
    "document", sorted(str(path.relative_to(ROOT)) for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
)
def test_every_link_between_documents_leads_somewhere(document):
    path = ROOT / document
    broken = [target for target in LINK.findall(path.read_text()) if not (path.parent / target).exists()]
    assert broken == []


@pytest.mark.parametrize(
    "room", ["annotation", "curation", "workers", "config", "templates", "static", "tests", "bench", "docs"]
)
def test_the_map_names_every_room(room):
    assert f"`{room}/`" in README


def test_the_licence_is_apache_2():
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text
