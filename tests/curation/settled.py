"""Pairs that an adjudicator has settled, for tests of what becomes of them."""

from __future__ import annotations

import uuid
from typing import Any

from curation import settling
from curation.models import Adjudication, Ruling


def settle(one: Adjudication, who: Any, outcome: str, **more: Any) -> Ruling:
    key = more.pop("key", None) or uuid.uuid4()
    return settling.settle(adjudication=one, adjudicator=who, key=key, outcome=outcome, **more)
