"""A folder -> a data set on the hub: our own parquet and card as they are, in one commit."""

from __future__ import annotations

import os
from pathlib import Path


class NotTaken(Exception):
    """The hub did not take it. The text says why and never holds the token."""


def upload(folder: Path, *, repo: str, token: str, private: bool, message: str, endpoint: str | None = None) -> str:
    """Upload a folder as one commit of a data set, which is made if it is not there. Returns the commit's address.

    Args:
        folder: the release.
        repo: "owner/name".
        token: with the right to write there.
        private: whether a data set that is made now is private.
        message: of the commit.
        endpoint: another hub than the usual one.

    Raises:
        NotTaken: the hub refuses, or cannot be reached.
    """
    # Plain uploads only: no second protocol, no reports of usage. Read when the library is imported.
    os.environ.setdefault("HF_HUB_DISABLE_XET", "1")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    try:
        from huggingface_hub import HfApi
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError
    except ImportError as error:
        raise NotTaken("The hub's library is not installed here. It comes with requirements-gpu.txt.") from error

    hub = HfApi(endpoint=endpoint, token=token)
    try:
        hub.create_repo(repo, repo_type="dataset", private=private, exist_ok=True)
        done = hub.upload_folder(repo_id=repo, folder_path=folder, repo_type="dataset", commit_message=message)
    except HFValidationError as error:
        raise NotTaken(f"{repo!r} cannot name a data set. Write owner/name.") from error
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else "no"
        raise NotTaken(
            f"The hub refused {repo} with status {status}. Check its name and the rights of the token."
        ) from error
    except OSError as error:
        raise NotTaken(
            f"The hub cannot be reached: {type(error).__name__}. Nothing changed here; try again."
        ) from error
    return str(done.commit_url)
