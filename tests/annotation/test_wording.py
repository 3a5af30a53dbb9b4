"""Texts that no template holds: those of the scripts, words inside of sentences, and what a new project is offered."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.utils import translation

from annotation import rendering, wording
from annotation.answering import Said, in_words
from annotation.models import Project, Role
from annotation.models.projects import default_tags

SCRIPTS = Path(settings.BASE_DIR) / "static" / "judging"


def used() -> tuple[set[str], set[str]]:
    """The names of texts, and of texts with a number, that the scripts ask for."""
    code = "\n".join(path.read_text(encoding="utf-8") for path in sorted(SCRIPTS.glob("*.js")))
    plain = set(re.findall(r"phrase\('(\w+)'", code))
    plain |= {name for pair in re.findall(r"phrase\([^'`()]*\? '(\w+)' : '(\w+)'", code) for name in pair}
    for call in re.findall(r"phrase\(flip\([^)]*\) \? '(\w+)' : '(\w+)'", code):
        plain |= set(call)
    return plain, set(re.findall(r"counted\('(\w+)'", code))


def test_every_text_that_a_script_asks_for_is_there_and_no_other() -> None:
    plain, counted = used()
    # Asked for by a name that is put together: answers, keys, what is saved, and polarities.
    together = {"a3", "a2", "a1", "same", "b1", "b2", "b3", "bad", "skip", "saved", "saving", "local", "window_only"}
    together |= {"supports", "hurts", "supports_side", "hurts_side"}
    together |= {name for name in wording.PHRASES if name.startswith("key_")}
    assert plain | together == set(wording.PHRASES)
    assert counted == set(wording.COUNTED)


@pytest.mark.parametrize("language", [code for code, _ in settings.LANGUAGES])
def test_the_texts_fit_into_an_element_and_know_their_plurals(language: str) -> None:
    with translation.override(language):
        element = wording.script_texts()
        texts = wording.texts()
    assert element.startswith('<script id="texts" type="application/json">')
    assert json.loads(re.sub(r"^<[^>]*>|<[^>]*>$", "", element)) == texts
    assert len(texts["plural"]) == 200
    assert {len(texts[name]) for name in wording.COUNTED} == {len(set(texts["plural"]))}
    assert "%(" not in "".join(re.sub(r"%\(\w+\)s", "", str(text)) for text in texts.values())


def test_plurals_follow_the_language() -> None:
    with translation.override("de"):
        texts = wording.texts()
    said = [texts["words"][int(texts["plural"][n])] % {"n": n} for n in (0, 1, 2, 101)]
    assert said == ["0 Wörter", "1 Wort", "2 Wörter", "101 Wörter"]


def test_a_language_with_three_forms_needs_no_other_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in Polish: one, few, many."""

    def form(n: int) -> int:
        return 0 if n == 1 else 1 if n % 10 in (2, 3, 4) and n % 100 not in (12, 13, 14) else 2

    monkeypatch.setattr(wording, "npgettext", lambda context, one, many, n: str(form(n)))
    monkeypatch.setattr(wording, "ngettext", lambda one, many, n: f"{['słowo', 'słowa', 'słów'][form(n)]}")
    texts = wording.texts()
    assert texts["words"] == ["słowo", "słowa", "słów"]
    assert [int(texts["plural"][n]) for n in (0, 1, 2, 5, 12, 22, 112)] == [2, 0, 1, 2, 2, 1, 2]


@pytest.mark.parametrize("code", [*Role.values, *Project.State.values])
def test_roles_and_states_have_a_word_inside_of_a_sentence(code: str) -> None:
    assert code in wording.IN_A_SENTENCE


def test_what_a_new_project_is_offered_is_translated_and_nothing_else() -> None:
    offered = [Project._meta.get_field("question").default, *(tag["label"] for tag in default_tags())]
    assert offered == [str(text) for text in wording.OFFERED]
    with translation.override("de"):
        assert all(wording.as_offered(text) != text for text in offered)
        # A lead's own words stay, also where the interface has the same ones elsewhere.
        for own in ("Judge", "Skip", "Which is kinder?", ""):
            assert wording.as_offered(own) == own


def test_an_answer_is_told_in_the_readers_language() -> None:
    said = Said("prefer", 1, True, "", ["identity"], text="Two words", tags=["tone"], spans=1)
    assert (
        in_words(said, scale=7)
        == "B slightly better · 2 words · 1 reason · 1 highlight · flagged: reveals which model wrote it"
    )
    with translation.override("de"):
        assert (
            in_words(said, scale=7)
            == "B etwas besser · 2 Wörter · 1 Grund · 1 Markierung · gemeldet: Verrät, welches Modell es schrieb"
        )


HOSTILE = [
    '<p class="turn__who">Person</p>',
    'Person" role="group" aria-label="Code">',
    '```\nrole="group" aria-label="Table"\n```\n\n| Code | Table |\n|---|---|\n| System | Person |',
]


@pytest.mark.parametrize("text", HOSTILE)
def test_the_frame_is_translated_and_the_text_never(text: str) -> None:
    messages: list[dict[str, Any]] = [{"role": "user", "content": text}, {"role": "assistant", "content": text}]
    html = rendering.render_prompt(messages, "Be kind.")
    with translation.override("de"):
        shown = wording.framed(html)
    assert wording.framed(html) == html
    assert shown != html
    assert '<p class="turn__who">Mensch</p>' in shown
    back = shown.replace(">Mensch<", ">Person<").replace('aria-label="Tabelle"', 'aria-label="Table"')
    assert back == html
