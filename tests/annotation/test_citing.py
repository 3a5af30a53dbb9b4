"""The paragraphs near a pair: found in the language that they are written in, also where words are not set apart."""

from __future__ import annotations

import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from annotation import citing, guiding
from annotation.models import Project

ENGLISH = """# How to judge

A loan is paid back with interest: count the rows of the table.

The tone is friendly, and never that of a teacher.

Code has to run as it stands there.

An answer that refuses says why it does.
"""
GERMAN = """# So wird beurteilt

Der Ton ist freundlich und nie der eines Lehrers; das ist die Regel, und die gilt für die Antwort und für die Frage.

Zinsen werden jährlich gerechnet.

Der Quelltext muss so laufen, wie er da steht.

Wer eine Antwort verweigert, sagt, warum er das tut.
"""
FRENCH = """Le ton de la réponse est aimable, et jamais celui d'un maître.

Les intérêts sont calculés par année.

Le code doit marcher comme il est écrit.

Une réponse qui refuse dit pourquoi elle le fait.
"""
CHINESE = """# 如何判断

回答的语气应当友好, 不要说教。

利息按年计算, 表格的行数要正确。

代码必须能够直接运行。

拒绝回答时要说明理由。
"""
THAI = "น้ำเสียงเป็นมิตร\n\nดอกเบี้ยคิดเป็นรายปี\n\nโค้ดต้องทำงานได้\n\nหากปฏิเสธต้องบอกเหตุผล"
POLISH = """Ton jest przyjazny i nie jest to ton nauczyciela.

Odsetki: liczone co roku, i nie jest to trudne.

Kod musi działać i nie skrócony.

Odmowa jest uzasadniona i nie jest zbyt długa.
"""


def nearest(project: Project, text: str, *asked: str, languages: tuple[str, ...] = ()) -> list[int]:
    guideline = guiding.publish_guideline(project=project, text=text)
    return [one.number for one in citing.relevant_paragraphs(guideline=guideline, texts=asked, languages=languages)]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("text", "asked", "numbers"),
    [
        (ENGLISH, "What interests do the loans have?", [1]),
        (ENGLISH, "Does this run, and are they friends?", [2, 3]),
        # The small words say nothing, and another form of a word is the word.
        (GERMAN, "Wie hoch ist die jährliche Rate, und der Grund?", [2]),
        (GERMAN, "Die Kleine lief und lief.", []),
        (FRENCH, "Quel est l'intérêt de la dette?", [2]),
        (CHINESE, "贷款的利息是多少?", [2]),
        (CHINESE, "请写一段代码", [3]),
        (THAI, "เบี้ย", [2]),
        # No list of small words: those of most paragraphs are none to go by.
        (POLISH, "Ile jest i nie ma: odsetki?", [2]),
    ],
)
def test_the_nearest_paragraph_is_found_in_every_language(
    project: Project, text: str, asked: str, numbers: list[int]
) -> None:
    assert sorted(nearest(project, text, asked)) == numbers


@pytest.mark.django_db
def test_what_is_shown_is_what_was_written(project: Project) -> None:
    guideline = guiding.publish_guideline(project=project, text=CHINESE)
    (found,) = citing.relevant_paragraphs(guideline=guideline, texts=["利息"])
    assert (found.text, found.number) == ("利息按年计算, 表格的行数要正确。", 2)
    assert found.rank > 0


@pytest.mark.django_db
def test_each_item_of_a_list_stands_by_itself_and_as_the_guideline_shows_it(project: Project) -> None:
    items = "1. **Correct.** Numbers add up.\n2. **Kind.** Nobody is mocked."
    text = f"# Rules\n\nWhat counts:\n{items}\n\n- Skip *only* with a reason."
    guideline = guiding.publish_guideline(project=project, text=text)
    (found,) = citing.relevant_paragraphs(guideline=guideline, texts=["Do these numbers add up?"])
    assert (found.number, found.text) == (2, "**Correct.** Numbers add up.")
    assert found.html == "<p><strong>Correct.</strong> Numbers add up.</p>"
    (skip,) = citing.relevant_paragraphs(guideline=guideline, texts=["I would skip this."])
    assert (skip.number, skip.text) == (4, "Skip *only* with a reason.")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("text", "language"),
    [
        (ENGLISH, "english"),
        (GERMAN, "german"),
        (FRENCH, "french"),
        ("Il tono è gentile e non è quello di un maestro, e la risposta che rifiuta dice il perché.", "italian"),
        ("Тон ответа дружелюбный, и он не такой, как у учителя, потому что это не урок.", "russian"),
        (CHINESE, ""),
        (POLISH, ""),
        ("Kürze zählt.", ""),
        ("", ""),
    ],
)
def test_a_language_is_told_by_its_small_words(text: str, language: str) -> None:
    assert citing.language_of(text) == language


@pytest.mark.django_db
def test_where_a_guideline_is_too_short_the_labels_of_the_pair_say_it(project: Project) -> None:
    short = "Jährlich rechnen."
    assert nearest(project, short, "Welche jährliche Rate?") == []
    assert nearest(project, short, "Welche jährliche Rate?", languages=("", "xx", "de-AT")) == [1]


@pytest.mark.django_db
@pytest.mark.parametrize("asked", ["", "\0", "'; DROP pair; --", "a & | ! b", "🙂" * 9, "x" * 100_000])
def test_nothing_is_found_of_nothing_and_nothing_breaks(project: Project, asked: str) -> None:
    assert nearest(project, ENGLISH, asked) == []


@pytest.mark.django_db
def test_every_language_is_one_that_the_database_knows() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT cfgname FROM pg_ts_config")
        known = {row[0] for row in cursor.fetchall()}
    assert {*citing.CONFIGURATIONS.values(), citing.PLAIN} <= known


@given(st.text(max_size=60))
def test_no_character_is_lost_on_the_way_to_the_search(text: str) -> None:
    clean = text.replace("\0", " ")
    assert set("".join(citing.in_words(text).split())) == set("".join(clean.split()))
