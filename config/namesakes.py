"""One living worker per name on one machine.

A worker that starts hands back at once what ran under its name: whoever had it is dead. A second worker of that name
would take the runs of the first, which lives, and both would stand in one row of the register of workers.
"""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import TextIO
from urllib.parse import quote

from django.core.exceptions import ImproperlyConfigured

# Open for as long as this process lives: the lock ends with it, however it ends.
_taken: list[TextIO] = []


def take_name(name: str, *, state: Path) -> None:
    """Be the only process of this machine that is called so, until this process ends.

    The lock is the process's own: its children do not inherit it, so that one which outlives it keeps no name.

    Args:
        name: the worker's, as `gpu@host`.
        state: the folder of state, which the workers of an installation share.

    Raises:
        ImproperlyConfigured: a living process has the name.
    """
    folder = state / "workers"
    folder.mkdir(parents=True, exist_ok=True)
    file = (folder / quote(name, safe="@")).open("w")
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        if not isinstance(error, BlockingIOError | PermissionError):
            return  # A file system without locks: nothing can be told.
        raise ImproperlyConfigured(
            f"A worker called {name} is alive on this machine, and two of one name would take each other's runs. "
            f"Give this one a name of its own: --hostname another-{name.split('@')[0]}@%h."
        ) from error
    _taken.append(file)
