"""A file that a program sends -> one run that imports it at once, or only checks it, with the options of the commands.

The page asks for a check, and for the import when a person has seen it. A program has said beforehand what bad rows do.
"""

from __future__ import annotations

from annotation.errors import Mendable, Refused
from annotation.importing import checking, judgements, prompts, uploads
from annotation.importing.options import Options
from annotation.importing.receiving import Upload
from annotation.models import Project, Run, User
from annotation.running import request_run


def request_import_at_once(
    *,
    project: Project,
    upload: Upload,
    actor: User,
    options: Options,
    on_error: str = "stop",
    only_check: bool = False,
) -> Run:
    """Ask a worker to import a file as the commands of what it holds do; or only to check it.

    With `on_error` "stop" the run fails where a row is bad, and nothing is kept; with "skip" the others come in. All
    bad rows are in the report of the run, however it ends.

    Raises:
        Refused: an option is not known, or does not go with the others.
    """
    checking.check_on_error(on_error)
    try:
        _check_options(options)
    except Mendable as refusal:
        raise Refused(refusal.on_page) from refusal
    parameters = uploads.parameters_of(upload, options)
    phase = {"phase": "check"} if only_check else {"phase": "import", "on_error": on_error}
    return request_run(project=project, kind=Run.Kind.IMPORT, parameters=parameters | phase, actor=actor)


def _check_options(options: Options) -> None:
    """What can be told before the file is read."""
    if options.holds == "judgements":
        judgements.check_layout(options.layout)
        _check_empty(options, "map", "allow", "source", of="pairs")
    elif options.holds == "prompts":
        prompts.check_fields(options.mapping)
        _check_empty(options, "layout", "allow", "source", of="pairs")
        _check_empty(options, "judges", of="judgements")
    else:
        checking.check_layout(options.layout, options.mapping)
        _check_empty(options, "judges", of="judgements")


def _check_empty(options: Options, *names: str, of: str) -> None:
    """Raise `Refused` for an option that belongs to files which hold something else."""
    given = {
        "layout": options.layout != checking.AUTO,
        "map": options.mapping,
        "allow": options.allow,
        "source": options.source,
        "judges": options.judges,
    }
    for name in names:
        if given[name]:
            verb = "are" if name == "judges" else "is"
            it = "them" if name == "judges" else "it"
            raise Refused(f"{name} {verb} for files of {of}. Leave {it} out, or say that the file holds {of}.")
