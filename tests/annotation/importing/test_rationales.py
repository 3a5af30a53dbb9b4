"""Rationales and spans: placed by their text, in code points, once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from annotation.errors import Refused
from annotation.importing import Reasoned, import_pairs, import_rationales, rationales, read_rationales
from annotation.models import Annotator, Event, Pair, Project, Rationale, Span

pytestmark = pytest.mark.django_db

# Code points and UTF-16 units differ from the smiling face on.
ANSWER = "So 😀 it is wrong here."


def to_file(path: Path, content: list[Any]) -> Path:
    path.write_text("".join((one if isinstance(one, str) else json.dumps(one)) + "\n" for one in content))
    return path


@pytest.fixture
def pairs(project: Project, tmp_path: Path) -> None:
    """One question with three pairs of three answers, and a pair of its own."""
    answers = {"1": ANSWER, "2": "Two.", "3": "Three."}
    rows = [
        {
            "item_id": f"q-{a}v{b}",
            "source": "made",
            "prompt": "Why?",
            "response_a": answers[a],
            "response_b": answers[b],
            "meta": {"context_id": "q"},
        }
        for a, b in ("12", "13", "23")
    ]
    rows.append({"item_id": "alone", "source": "made", "prompt": "Who?", "response_a": "I.", "response_b": "You."})
    import_pairs(project=project, path=to_file(tmp_path / "pairs.jsonl", rows))


def said(**changes: Any) -> dict[str, Any]:
    spans = [
        {"start": 11, "end": 16, "label": "Irrelevant", "note": "off"},
        {"start": 3, "end": 4, "label": "evidence"},
    ]
    row = {"item_id": "q", "source": "made", "annotator_id": "ann", "target": "prediction 1", "text": ANSWER}
    return row | {"spans": spans, "explanation": None} | changes


def test_spans_lie_in_the_candidate_that_has_the_text(project: Project, pairs: None, tmp_path: Path) -> None:
    report = import_rationales(project=project, path=to_file(tmp_path / "r.jsonl", [said()]))
    assert (report.read, report.added, report.stored, report.made) == (1, 1, True, {"spans": 2, "annotators made": 1})
    rationale = Rationale.objects.select_related("pair", "annotator").get()
    assert (rationale.pair.external_id, rationale.judgement, rationale.source) == ("q-1v2", None, "imported")
    assert (rationale.text, rationale.tags, rationale.annotator.user) == ("Irrelevant: off", ["prediction 1"], None)
    spans = list(rationale.spans.order_by("start"))
    assert {span.candidate and span.candidate.text for span in spans} == {ANSWER}
    marked = [(ANSWER[span.start : span.end], span.polarity, span.tag) for span in spans]
    assert marked == [("😀", "supports", "evidence"), ("wrong", "hurts", "Irrelevant")]


def test_words_of_a_model_are_a_machines(project: Project, pairs: None, tmp_path: Path) -> None:
    path = to_file(tmp_path / "r.jsonl", [said(annotator_id="gpt", explanation="Because."), said()])
    import_rationales(project=project, path=path, judges={"gpt"})
    assert set(Rationale.objects.values_list("source", "text")) == {
        ("machine", "Because."),
        ("imported", "Irrelevant: off"),
    }
    assert Annotator.objects.get(external_id="gpt").is_judge
    with pytest.raises(Refused, match="nothing by the judge 'gtp'"):
        import_rationales(project=project, path=path, judges={"gtp"})


def test_a_prompt_may_be_marked_and_a_pair_explained_as_a_whole(project: Project, pairs: None, tmp_path: Path) -> None:
    rows = [
        said(target="question", text="Why?", spans=[{"start": 0, "end": 3, "label": "evidence"}]),
        said(item_id="alone", target="item", text=None, spans=[], explanation="Who else?"),
    ]
    report = import_rationales(project=project, path=to_file(tmp_path / "r.jsonl", rows))
    assert (report.added, report.made["spans"]) == (2, 1)
    assert Span.objects.get().candidate is None
    assert Rationale.objects.get(pair__external_id="alone").text == "Who else?"


def test_twice_adds_nothing_and_another_word_is_refused(
    project: Project, pairs: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rationales, "BATCH", 1)
    path = to_file(tmp_path / "r.jsonl", [said(), said()])
    assert (import_rationales(project=project, path=path).added, Rationale.objects.count()) == (1, 1)
    again = import_rationales(project=project, path=path)
    assert (again.added, again.already, Span.objects.count()) == (0, 2, 2)
    other = to_file(tmp_path / "o.jsonl", [said(spans=[]), said(annotator_id="bea")])
    report = import_rationales(project=project, path=other, on_error="skip")
    assert (report.added, report.counts) == (1, {"explained_otherwise": 1})


BAD = {
    "not_json": '{"item_id": "q"',
    "missing_key": said(text=None),
    "wrong_type": said(spans=[{"start": "1", "end": 2}]),
    "bad_value": said(spans=[{"start": 3, "end": 3}]),
    "text_not_here": said(text=ANSWER + " "),
    "ambiguous_item": said(text=None, spans=[], explanation="Which?"),
    "nul": said(explanation="a\x00b"),
    "lone_surrogate": json.dumps(said(explanation="half \ud83d")),
}


@pytest.mark.parametrize("reason", BAD)
def test_every_bad_row_is_named_and_stop_keeps_nothing(
    project: Project, pairs: None, tmp_path: Path, reason: str
) -> None:
    path = to_file(tmp_path / "r.jsonl", [said(), BAD[reason], said(item_id="elsewhere")])
    before = Event.objects.count()
    report = import_rationales(project=project, path=path)
    assert [(one.line, one.reason) for one in report.refusals] == [(2, reason)]
    assert (report.stored, report.added, report.left_out) == (False, 0, 1)
    assert (Rationale.objects.count(), Annotator.objects.filter(external_id="ann").count()) == (0, 0)
    assert Event.objects.count() == before
    report = import_rationales(project=project, path=path, on_error="skip")
    assert (report.added, Rationale.objects.count(), Event.objects.count()) == (1, 1, before + 1)


def test_a_span_behind_the_end_of_the_text_is_refused(project: Project, pairs: None, tmp_path: Path) -> None:
    """One code point too far; in UTF-16 units it would still fit."""
    path = to_file(tmp_path / "r.jsonl", [said(spans=[{"start": 0, "end": len(ANSWER) + 1}])])
    assert import_rationales(project=project, path=path).counts == {"bad_value": 1}


def test_another_file_is_refused_whole(project: Project, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="no file of rationales: it lacks annotator_id, target, spans"):
        import_rationales(project=project, path=to_file(tmp_path / "r.jsonl", [{"item_id": "x"}]))


def test_the_command_names_bad_rows(
    project: Project, pairs: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = to_file(tmp_path / "r.jsonl", [said(), BAD["text_not_here"]])
    call_command("import_rationales", path, project=project.slug, on_error="skip")
    told = capsys.readouterr().out
    assert "Line 2 (q): No answer and no prompt of the item" in told
    assert Rationale.objects.count() == 1


@pytest.mark.usefixtures("few_texts_set")
def test_the_real_file_has_its_spans_in_its_texts(project: Project, shared_data: Path) -> None:
    import_pairs(project=project, path=shared_data / "pairs.jsonl", source="qa-feedback", allow={"empty", "identical"})
    report = import_rationales(project=project, path=shared_data / "rationales.jsonl")
    assert (report.read, report.added, report.left_out, len(report.refusals)) == (4_933, 250, 4_683, 0)
    assert report.made["spans"] == Span.objects.count()
    for span in Span.objects.select_related("candidate")[:50]:
        assert span.candidate is not None
        assert span.end <= len(span.candidate.text)
    assert import_rationales(project=project, path=shared_data / "rationales.jsonl").already == 250
    # Without a project: all of it, for measures of spans.
    read = [one for one in read_rationales(shared_data / "rationales.jsonl") if isinstance(one, Reasoned)]
    assert len(read) == 4_933
    assert sum(bool(one.marked) for one in read if one.source == "cos-e-v1.0-dev") == 758
    assert Pair.objects.filter(rationales__isnull=False).distinct().count() <= 250
