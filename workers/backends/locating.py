"""Where a local model lies, what computes it, and in which numbers: what is found out before it is loaded."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
from transformers.utils import logging as transformers_logging

from workers.backends import model_files
from workers.backends.primitives import CannotLoad

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
# No code of the model's own is run, and nothing is fetched while it is loaded.
SAFE: dict[str, Any] = {"trust_remote_code": False, "local_files_only": True}


def home_of(*, name: str, revision: str, folder: str, digest: str = "") -> tuple[Path, str, str]:
    """The folder of a model, looked through; its revision: the commit, or the digest of a folder; and the digest of a
    hub model's files, empty for a folder.

    Raises:
        CannotLoad: it is not there, holds what is not read, or has other files than were registered.
    """
    home = Path(folder) if folder else _from_hub(name, revision)
    model_files.check(home)
    found = model_files.digest(home)
    if not folder:
        if digest and digest != found:
            raise CannotLoad(
                f"The files of {home} are not those that were checked: their digest is {found}, it was {digest}. The "
                "files of a commit do not change: remove that folder and fetch it again."
            )
        return home, revision, found
    if revision and revision != found:
        raise CannotLoad(
            f"The files of {home} are not those that were registered: their digest is {found}, registered was "
            f"{revision}. Register the folder again if the change was meant."
        )
    return home, found, ""


def numbers_of(dtype: str, device: torch.device) -> torch.dtype:
    """The numbers that weights are read as: bfloat16 on CUDA, float32 on a CPU, unless told otherwise.

    Raises:
        CannotLoad: there are none called so.
    """
    if dtype != "auto" and dtype not in DTYPES:
        raise CannotLoad(f"The dtype “{dtype}” is not known. Known are: auto, {', '.join(DTYPES)}.")
    if dtype != "auto":
        return DTYPES[dtype]
    return torch.bfloat16 if device.type == "cuda" else torch.float32


def be_quiet() -> None:
    """A worker's log is no place for progress bars."""
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()


def refuse_missing(name: str, report: dict[str, Any]) -> None:
    """What the weights of a folder lack would be filled with noise.

    Raises:
        CannotLoad: they lack something.
    """
    missing = sorted(report["missing_keys"])
    if missing:
        raise CannotLoad(
            f"The weights of {name} lack {len(missing)} tensors ({missing[0]} is the first), which noise would fill. "
            "Fetch or save the model again."
        )


def one_line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def device_of(device: str) -> torch.device:
    from django.conf import settings

    device = device or settings.DEVICE
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(device)
    except RuntimeError as error:
        raise CannotLoad(f"The device “{device}” is not known. Give auto, cpu, cuda or cuda:1.") from error
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        raise CannotLoad(f"The device {device} is not here: this worker sees {torch.cuda.device_count()} CUDA devices.")
    return found


def _from_hub(name: str, revision: str) -> Path:
    """The folder of a pinned hub model; only files that are read are fetched, and only where settings allow it."""
    from django.conf import settings
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        raise CannotLoad(f"“{name}” is not the name of a hub model. Give owner/name, or a folder.")
    if not re.fullmatch(r"[0-9a-f]{40}", revision):
        raise CannotLoad(f"Give the commit of {name} (40 hexadecimal digits) as its revision: a branch can change.")
    home = Path(settings.MODELS) / name.replace("/", "--") / revision
    patterns = [f"*{suffix}" for suffix in sorted(model_files.READ)]
    try:
        snapshot_download(
            name,
            revision=revision,
            local_dir=home,
            allow_patterns=patterns,
            ignore_patterns=["*/*"],
            local_files_only=not settings.MODELS_FROM_HUB,
        )
    except LocalEntryNotFoundError as error:
        raise CannotLoad(
            f"{name} is not in {home}, and models are not fetched from the hub. Put it there, or set PLUMBLINE_HUB."
        ) from error
    except (HfHubHTTPError, OSError, ValueError) as error:
        raise CannotLoad(f"{name} at {revision} could not be fetched: {one_line(error)}") from error
    return home
