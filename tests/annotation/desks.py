"""What tests of an annotator's pages over HTTP share: the script's requests, and what a page holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.test import Client

from annotation.models import Pair

MakePair = Callable[..., Pair]
SignIn = Callable[[Any], Client]
JUDGE = "/p/everyday/judge"
FETCH = {"X-Plumbline": "1"}
KEYS = {"assignment", "key", "prompt", "a", "b", "a_lang", "b_lang", "prompt_lang", "draft", "position", "ask"}


def post(client: Client, path: str, fields: dict[str, Any]) -> Any:
    return client.post(path, fields, headers=FETCH)


def fields(item: dict[str, Any], verdict: str = "a2", **more: Any) -> dict[str, Any]:
    return {"assignment": item["assignment"], "key": item["key"], "verdict": verdict, **more}


def opened(client: Client) -> list[dict[str, Any]]:
    """What the page holds: the item on the screen and those kept ready."""
    context = client.get(JUDGE).context
    return [context["item"], *context["upcoming"]] if context["item"] else []


def answered(client: Client, *verdicts: str, **more: Any) -> list[int]:
    made = []
    for verdict in verdicts:
        item = opened(client)[0]
        post(client, JUDGE, fields(item, verdict, **more))
        made.append(item["assignment"])
    return made
