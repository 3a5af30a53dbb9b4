"""Which code is running: written into every run and release."""

from __future__ import annotations

import functools
import os
import subprocess
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@functools.cache
def code_version() -> str:
    """The commit (with "+" when files differ from it), or the version in pyproject.toml where there is no git."""
    file = ROOT / "VERSION"  # Written by the image's build, which has no .git.
    if file.exists():
        return file.read_text().strip()
    git = ["git", "-c", f"safe.directory={ROOT}", "-C", os.fspath(ROOT)]
    try:
        commit = subprocess.run([*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=True)
        dirty = subprocess.run(
            [*git, "status", "--porcelain", "--untracked-files=no"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return _pyproject_version()
    return commit.stdout.strip() + ("+" if dirty.stdout.strip() else "")


def _pyproject_version() -> str:
    try:
        return metadata.version("plumbline")
    except metadata.PackageNotFoundError:
        import tomllib

        return str(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"])
