from __future__ import annotations

from dataclasses import replace

import pyarrow as pa

from curation.export.layouts import LAYOUTS, features
from curation.export.records import Edit, Rows, Said


def test_every_layout_builds_rows_of_its_own_schema(make_record):
    for name, layout in LAYOUTS.items():
        assert layout.name == name
        said, edits = (
            Said("annotator-1", "person", "first", 2, "Right.", [], 1),
            Edit("annotator-1", "first", "Mended."),
        )
        rows = replace(Rows.of([make_record()]), said=[[said]], edits=[[edits]])
        built = layout.build(rows)
        built.validate(full=True)
        assert built.schema == layout.schema
        empty = layout.build(Rows.of([]))
        assert (empty.schema, empty.num_rows) == (layout.schema, 0)


def test_a_schema_in_the_words_of_a_card():
    message = pa.struct([("role", pa.string()), ("content", pa.string())])
    schema = pa.schema(
        [("prompt", pa.list_(message)), ("n", pa.int32()), ("x", pa.float64()), ("tags", pa.list_(pa.string()))]
    )
    assert features(schema) == [
        {"name": "prompt", "list": [{"name": "role", "dtype": "string"}, {"name": "content", "dtype": "string"}]},
        {"name": "n", "dtype": "int32"},
        {"name": "x", "dtype": "float64"},
        {"name": "tags", "list": "string"},
    ]
