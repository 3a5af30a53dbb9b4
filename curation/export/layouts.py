"""The layouts that a release can have, by name: pages, commands and documentation read this table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from curation.export import trl
from curation.export.records import Rows


@dataclass(frozen=True)
class Layout:
    """`build` turns checked rows into a batch of `schema`. `reads` says who can train on them."""

    name: str
    title: str
    reads: str
    schema: pa.Schema
    build: Callable[[Rows], pa.RecordBatch]
    # Names of columns that are not in the layout itself, with what they say.
    side: dict[str, str]


LAYOUTS: dict[str, Layout] = {
    "trl_dpo": Layout(
        "trl_dpo",
        "prompt, chosen and rejected as lists of messages",
        "TRL DPOTrainer and every trainer that takes conversational preferences with an explicit prompt",
        trl.DPO,
        trl.dpo,
        trl.SIDE_HELP,
    ),
}


def features(schema: pa.Schema) -> list[dict[str, Any]]:
    """The schema in the words of a dataset card's `dataset_info`."""
    return [{"name": field.name, **_feature(field.type)} for field in schema]


def _feature(kind: pa.DataType) -> dict[str, Any]:
    if pa.types.is_list(kind):
        inner = _feature(kind.value_type)
        return {"list": inner.get("struct") or inner["dtype"]}
    if pa.types.is_struct(kind):
        return {"struct": [{"name": field.name, **_feature(field.type)} for field in kind]}
    return {"dtype": {"double": "float64"}.get(str(kind), str(kind))}
