"""Release -> hub: only what was checked leaves, and who let it is on record."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings

from annotation.errors import Refused
from annotation.models import Project
from annotation.recording import record
from curation.export import files
from curation.export.hub import NotTaken, upload


def push(*, folder: Path, repo: str, private: bool = True, command: str, endpoint: str | None = None) -> str:
    """Upload a release to the hub, with the token of the environment. Returns the commit's address.

    Pushing twice is harmless: the hub keeps the same files once.

    Raises:
        Refused: there is no token, a file is not as it was released, or the hub does not take it.
    """
    problems = files.wrong_files(folder)
    manifest = None if problems else files.manifest_in(folder)
    if manifest is None:
        raise Refused(f"{problems[0]} Only a release that is whole is pushed.")
    if not settings.HUB_TOKEN:
        raise Refused("There is no token for the hub. Set PLUMBLINE_HUB_TOKEN to one that may write there.")
    message = f"{manifest['project']}, {manifest['version']}"
    try:
        where = upload(folder, repo=repo, token=settings.HUB_TOKEN, private=private, message=message, endpoint=endpoint)
    except NotTaken as error:
        raise Refused(str(error)) from error
    record(
        act="release.push",
        subject=f"release {manifest['version']}",
        actor=None,
        command=command,
        project=Project.objects.filter(slug=manifest["project"]).first(),
        after={"repo": repo, "private": private, "commit": where, "digest": files.digest_of(manifest)},
    )
    return where
