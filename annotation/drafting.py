"""What is entered while judging -> drafts: kept by version until the answer is stored."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from django.db import connection
from django.utils.translation import gettext as _

from annotation import judging, statements
from annotation.answering import Unfit
from annotation.models import Annotator, Draft

# Room for an edited answer, and for what else is in a draft.
LARGEST_DRAFT = 512 * 1024

# What the pages send, field by field, and read again without looking twice. Other fields may come: nobody reads them.
SHAPE: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("verdict", "skip", "skip_reason", "note", "deciding"), lambda sent: isinstance(sent, str)),
    **dict.fromkeys(("tag", "flag"), lambda sent: _list_of(sent, str)),
    "span": lambda sent: _list_of(sent, dict),
    **dict.fromkeys(("vote", "edit"), lambda sent: isinstance(sent, dict) and _list_of([*sent.values()], str)),
    "place": lambda sent: isinstance(sent, dict) and _list_of([*sent.values()], (str, int)),
}


def _list_of(sent: Any, kind: type | tuple[type, ...]) -> bool:
    return isinstance(sent, list) and all(isinstance(one, kind) for one in sent)


@dataclass(frozen=True, slots=True)
class Stands:
    """The draft that is stored now: `other` is what another window or device wrote, None where it is what was sent."""

    version: int
    other: dict[str, Any] | None = None


# The lease is looked at under a lock that waits for a submit of the same slot: no draft outlives its judgement.
SAVE_DRAFT = """
WITH mine AS MATERIALIZED (
  SELECT id FROM assignment
  WHERE id = %(assignment)s::bigint AND annotator_id = %(me)s::bigint AND lease_until IS NOT NULL FOR SHARE),
saved AS (
  INSERT INTO draft (assignment_id, body, version, saved_at)
  SELECT id, %(body)s::jsonb, %(version)s::bigint, now() FROM mine
  ON CONFLICT (assignment_id) DO UPDATE
  SET body = excluded.body, version = excluded.version, saved_at = excluded.saved_at
  WHERE CASE WHEN %(beyond)s::bigint[] IS NULL THEN draft.version < excluded.version
    ELSE draft.version = ANY(%(beyond)s::bigint[]) END RETURNING 1)
SELECT (SELECT count(*) FROM mine), (SELECT count(*) FROM saved)
"""


def save_draft(
    *, annotator: Annotator, assignment_id: int, body: str, version: int, beyond: Sequence[int] | None = None
) -> Stands:
    """Keep what was entered so far, and nothing over what its writer has not seen.

    `beyond` are the versions that this save may replace: the one that its page shows, and those that the page sent
    itself since without hearing of them. Where another one stands, nothing is stored, and that one is returned. Without
    `beyond`, `version` counts up, and an older save that arrives late changes nothing.

    Raises:
        Unfit: the body is not a JSON object of this SHAPE, is too large, or holds what cannot be stored.
        LeaseLost: the assignment is not mine any more.
    """
    text = readable_draft(body)
    with connection.cursor() as cursor:
        cursor.execute(
            SAVE_DRAFT,
            {
                "assignment": str(assignment_id),
                "me": str(annotator.pk),
                "body": text,
                "version": str(version),
                "beyond": statements.in_array(beyond),
            },
        )
        mine, saved = cursor.fetchone()
    if mine and saved:
        return Stands(version)
    found = Draft.objects.filter(assignment=assignment_id).values_list("version", "body").first()
    if not mine or found is None:
        raise judging.LeaseLost(_("This pair is no longer open with you. What you wrote is kept on this page."))
    return what_stands(version=version, text=text, found=found)


def what_stands(*, version: int, text: str, found: tuple[int, dict[str, Any] | None]) -> Stands:
    """Why a save changed nothing: another draft stands, or this very one, whose reply was lost."""
    stored, body = found
    return Stands(version) if (stored, body) == (version, json.loads(text)) else Stands(stored, body or {})


def readable_draft(body: str) -> str:
    """The body as JSON that the database can hold and the page can show again; raises Unfit."""
    if len(body) > LARGEST_DRAFT or len(body.encode(errors="surrogatepass")) > LARGEST_DRAFT:
        raise Unfit(
            _("The draft is larger than %(most)s kB. Shorten your text.") % {"most": LARGEST_DRAFT // 1024},
            field="body",
        )
    try:
        fields = json.loads(body, parse_constant=_no_number)
        text = json.dumps(fields, ensure_ascii=False, allow_nan=False)
        text.encode()  # Half a character (a lone surrogate) cannot be stored.
    except (ValueError, RecursionError):
        raise Unfit(_("The draft is not JSON, or holds a character that cannot be stored."), field="body") from None
    if not isinstance(fields, dict):
        raise Unfit(_("The draft is not a JSON object."), field="body")
    for name, fits in SHAPE.items():
        if name in fields and not fits(fields[name]):
            raise Unfit(_("The draft's “%(name)s” cannot be read. Load the page again.") % {"name": name}, field="body")
    if "\\u0000" in text.replace("\\\\", ""):
        raise Unfit(_("Your text contains a NUL character, which cannot be stored. Remove it."), field="body")
    return text


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON.")
