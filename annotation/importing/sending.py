"""A file that a program sends -> one run that imports it at once, or only checks it, with the options of the commands.

The page asks for a check, and for the import when a person has seen it. A program has said beforehand what bad rows do.
"""

from __future__ import annotations

from collections.abc import Mapping

from annotation.errors import Mendable, Refused
from annotation.importing import checking, judgements, uploads
from annotation.importing.receiving import Upload
from annotation.models import Project, Run, User
from annotation.running import request_run


def request_import_at_once(
    *,
    project: Project,
    upload: Upload,
    actor: User,
    holds: str = "pairs",
    layout: str = checking.AUTO,
    mapping: Mapping[str, str] | None = None,
    allow: frozenset[str] = frozenset(),
    source: str = "",
    judges: frozenset[str] = frozenset(),
    on_error: str = "stop",
    only_check: bool = False,
) -> Run:
    """Ask a worker to import a file as `import_pairs` and `import_judgements` do; or only to check it.

    With `on_error` "stop" the run fails where a row is bad, and nothing is kept; with "skip" the others come in. All
    bad rows are in the report of the run, however it ends.

    Raises:
        Refused: an option is not known, or does not go with the others.
    """
    checking.check_on_error(on_error)
    try:
        _check_options(holds, layout, mapping or {}, allow, source, judges)
    except Mendable as refusal:
        raise Refused(refusal.on_page) from refusal
    parameters = uploads.parameters_of(
        upload, holds=holds, layout=layout, mapping=mapping, allow=allow, source=source, judges=judges
    )
    phase = {"phase": "check"} if only_check else {"phase": "import", "on_error": on_error}
    return request_run(project=project, kind=Run.Kind.IMPORT, parameters=parameters | phase, actor=actor)


def _check_options(
    holds: str, layout: str, mapping: Mapping[str, str], allow: frozenset[str], source: str, judges: frozenset[str]
) -> None:
    """What can be told before the file is read."""
    if holds == "judgements":
        judgements.check_layout(layout)
        for name, given in {"map": mapping, "allow": allow, "source": source}.items():
            if given:
                raise Refused(f"{name} is for files of pairs. Leave it out, or say that the file holds pairs.")
    else:
        checking.check_layout(layout, mapping)
        if judges:
            raise Refused("judges are for files of judgements. Leave them out, or say that the file holds judgements.")
