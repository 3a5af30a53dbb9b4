"""What the judging page is given and what it sends back: the one gate between the pair and the annotator's screen."""

from __future__ import annotations

import functools
import json
import uuid
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from annotation import judging, ordering, wording
from annotation.answering import CONTROLS, Marked, Shown, Terms, Unfit, sides
from annotation.assigning import Handed
from annotation.models import Annotator, Assignment, Flag, Guideline, Project, SkipReason
from annotation.views.fetching import beyond_sent, draft_seen, number_in, whole

Item = dict[str, Any]


def item_of(handed: Handed, *, slug: str, user_id: int, position: int) -> Item:
    """What an annotator may see of an assignment: these keys and no others. Blindness stands or falls here."""
    a, b = sides(handed.first, handed.second, swapped=handed.swapped)
    a_lang, b_lang = sides(handed.first_language, handed.second_language, swapped=handed.swapped)
    saved = {**json.loads(handed.draft), "version": handed.draft_version} if handed.draft else None
    return {
        "assignment": handed.assignment_id,
        "key": str(uuid.uuid4()),
        "prompt": wording.framed(handed.prompt),
        "a": wording.framed(a),
        "b": wording.framed(b),
        "prompt_lang": handed.prompt_language,
        "a_lang": a_lang,
        "b_lang": b_lang,
        "draft": saved,
        "position": position,
        "ask": _ask(handed, terms=judging.terms_of(slug), user_id=user_id),
    }


def _ask(handed: Handed, *, terms: Terms | None, user_id: int) -> dict[str, Any] | None:
    """How the principles are asked of this annotator here; None where they are not."""
    if (
        terms is None
        or not terms.principles
        or not ordering.is_asked(policy=terms.votes_policy, seed=terms.seed, pair_id=handed.pair_id)
    ):
        return None
    return asdict(terms.asked(assignment_id=handed.assignment_id, user_id=user_id))


def counts_shown(*, today: int, done: int | None = None, left: int | None = None) -> dict[str, int | None]:
    """What is not counted on the hot path is None there: it leaves what the page shows as it is."""
    return {"done_today": today, "done": done, "left": left, "goal": None if left is None else today + left}


def controls_for(project: Project, item: Item | None = None, **extra: Any) -> str:
    """The verdict scale and the why panel. They are the same for every item, and rendered once per settings and
    guideline, unless they carry a draft or ask principle by principle, in an order of the item's own.
    """
    tags = tuple((tag["key"], tag["label"]) for tag in project.tags)
    draft = (item or {}).get("draft")
    if draft or extra or project.votes_policy != Project.VotesPolicy.OFF:
        return _controls_of(project, tags, item=item or {}, **extra)
    return _controls(
        project.question,
        project.scale,
        project.allow_tie,
        project.allow_both_bad,
        project.allow_edits,
        project.rationale_policy,
        project.shortest_reason,
        tags,
        project.guideline_id,
        get_language(),
    )


@functools.lru_cache(maxsize=256)
def _controls(
    question: str,
    scale: int,
    allow_tie: bool,
    allow_both_bad: bool,
    allow_edits: bool,
    rationale_policy: str,
    shortest_reason: int,
    tags: tuple[tuple[str, str], ...],
    guideline_id: int | None,
    language: str | None,
) -> str:
    project = Project(
        question=question,
        scale=scale,
        allow_tie=allow_tie,
        allow_both_bad=allow_both_bad,
        allow_edits=allow_edits,
        rationale_policy=rationale_policy,
        shortest_reason=shortest_reason,
        tags=[{"key": key, "label": label} for key, label in tags],
        guideline_id=guideline_id,
    )
    return _controls_of(project, tags, item={})


def _controls_of(project: Project, tags: Sequence[tuple[str, str]], *, item: Item, **extra: Any) -> str:
    filled = item.get("draft") or {}
    ask = item.get("ask")
    principles = _principles(project.guideline_id)
    order = ask["order"] if ask else list(principles)
    sent = filled.get("vote")
    votes = sent if isinstance(sent, dict) else {}
    rows = [{**principles[key], "chosen": votes.get(str(key), "")} for key in order if key in principles]
    labels = dict(tags)
    context = {
        "project": project,
        "question": wording.as_offered(project.question),
        "entered": filled,
        "spans": [_span_row(span, labels) for span in filled.get("span") or [] if isinstance(span, dict)],
        "ask": ask,
        "principles": rows,
        "skip_reasons": SkipReason.choices,
        "flags": Flag.choices,
        **extra,
    }
    return render_to_string("judging/controls.html", context)


def _span_row(span: dict[str, Any], labels: dict[str, str]) -> dict[str, Any]:
    """A highlight for the form without script: what is sent, and words for it."""
    place = {"a": "A", "b": "B", "prompt": _("Prompt")}.get(str(span.get("place")), "")
    return {
        "value": json.dumps(span, ensure_ascii=False),
        "place": place,
        "hurts": span.get("polarity") == "hurts",
        "from": span.get("start"),
        "to": span.get("end"),
        "tag": labels.get(str(span.get("tag")), ""),
    }


def principles_of(project: Project) -> list[dict[str, Any]]:
    """The principles in force: id, short name and text, in the guideline's order."""
    return list(_principles(project.guideline_id).values())


def _principles(guideline_id: int | None) -> dict[int, dict[str, Any]]:
    """The principles of a guideline, by id. Versions never change, so each is read once per process."""
    return _principles_of(guideline_id) if guideline_id else {}


@functools.lru_cache(maxsize=256)
def _principles_of(guideline_id: int) -> dict[int, dict[str, Any]]:
    places = Guideline.objects.get(pk=guideline_id).places.select_related("principle")
    return {
        p.principle_id: {"id": p.principle_id, "short": p.principle.short, "text": p.principle.text} for p in places
    }


def raw_sides(me: Annotator, item: Item | None) -> dict[str, Any]:
    """The texts that the form without script lets edit, with what was edited already. Empty where nothing may be."""
    if item is None or not me.project.allow_edits:
        return {}
    assignment = Assignment.objects.select_related("pair__first", "pair__second").get(
        pk=item["assignment"], annotator=me
    )
    edited = (item.get("draft") or {}).get("edit") or {}
    both = zip("ab", sides(assignment.pair.first, assignment.pair.second, swapped=assignment.swapped), strict=True)
    return {"raw_sides": [{"name": name, "text": edited.get(name, one.text)} for name, one in both]}


def answer_sent(request: HttpRequest, *, assignment_id: int | None = None) -> Shown:
    """The posted answer. What was measured by the browser is dropped when it makes no sense; the rest raises Unfit."""
    sent = request.POST
    if sent.get("verdict", "") not in CONTROLS:
        raise Unfit(_("Choose an answer first."), field="verdict")
    try:
        key = uuid.UUID(sent.get("key", ""))
    except ValueError:
        raise Unfit(_("The page did not send its key. Reload it and answer again."), field="key") from None
    return Shown(
        assignment_id=whole(request, "assignment") if assignment_id is None else assignment_id,
        key=key,
        control=sent["verdict"],
        skip_reason=sent.get("skip_reason", ""),
        flags=tuple(sent.getlist("flag")),
        tags=tuple(sent.getlist("tag")),
        # Browsers send line ends as CR LF; stored is what was typed.
        text=sent.get("note", "").replace("\r\n", "\n").strip(),
        spans=tuple(Marked.read(span) for span in sent.getlist("span")),
        votes=votes_sent(request),
        deciding=whole(request, "deciding") if sent.get("deciding") else None,
        guideline=whole(request, "guideline") if sent.get("guideline") else None,
        active_ms=_number(sent.get("active_ms"), int),
        first_key_ms=_number(sent.get("first_key_ms"), int),
        coverage_a=_number(sent.get("coverage_a"), float),
        coverage_b=_number(sent.get("coverage_b"), float),
        edit_a=sent.get("edit_a"),
        edit_b=sent.get("edit_b"),
        turned=sent.get("turned") == "1",
        client=sent.get("client", ""),
        beyond=beyond_sent(request),
    )


def votes_sent(request: HttpRequest) -> dict[int, str]:
    """By principle (its id): the control that was chosen."""
    votes = {}
    for name, control in request.POST.items():
        if name.startswith("vote-"):
            number = number_in(name.removeprefix("vote-"))
            if number is None or control not in ordering.VOTES:
                raise Unfit(_("Say for each principle: A, B, the same, or not relevant."), field="votes")
            votes[number] = str(control)
    return votes


def entered(request: HttpRequest) -> Item:
    """A refused form as it was filled in, to be shown again."""
    sent = request.POST
    fields = {
        "verdict": sent.get("verdict", ""),
        "skip_reason": sent.get("skip_reason", ""),
        "note": sent.get("note", ""),
    }
    filled = {
        **fields,
        "tag": sent.getlist("tag"),
        "flag": sent.getlist("flag"),
        "span": [asdict(span) for span in _readable(sent.getlist("span"))],
        "vote": {name.removeprefix("vote-"): vote for name, vote in sent.items() if name.startswith("vote-")},
        "deciding": sent.get("deciding", ""),
        "edit": {side: sent[f"edit_{side}"] for side in ("a", "b") if f"edit_{side}" in sent},
        "version": draft_seen(request),
    }
    return {"draft": filled, "assignment": number_in(sent.get("assignment", "")) or 0}


def _readable(sent: list[str]) -> list[Marked]:
    found = []
    for text in sent:
        try:
            found.append(Marked.read(text))
        except Unfit:
            continue
    return found


def _number(text: str | None, kind: Callable[[str], Any]) -> Any:
    try:
        return kind(text) if text and len(text) < 30 else None
    except ValueError:
        return None
