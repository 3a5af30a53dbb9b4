"""Included by a worker under test: its measurement runs do what a test asks for, and its pulse is quick.

Every start of a handler appends a line to the file that the run's parameters name, so that a test can count.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from annotation.models import Run
from annotation.running import Hold
from curation import releasing, sharding
from curation.export import files
from tests.workers import parts
from workers import tasks

vars(tasks).update(PULSE=0.3, BEAT=0.2)


def obey(hold: Hold) -> dict[str, Any]:
    told = hold.run.parameters
    with Path(told["file"]).open("a") as file:
        file.write(f"attempt {hold.run.attempt}\n")
    if told["do"] == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if told["do"] == "wait":
        while not Path(told["gate"]).exists():
            hold.beat()
            time.sleep(0.05)
    return {"attempt": hold.run.attempt}


tasks.HANDLERS[Run.Kind.MEASUREMENT] = obey

# Releases in small parts, each of which waits for a gate where its run names one.


def watched(write_part: Any) -> Any:
    def write(hold: Any, asked: Any, **more: Any) -> dict[str, Any]:
        told = hold.run.parameters
        while "gate" in told and not Path(told["gate"]).exists():
            hold.beat()
            time.sleep(0.05)
        found: dict[str, Any] = write_part(hold, asked, **more)
        return found

    return write


vars(files).update(GROUP_ROWS=parts.GROUP_ROWS, SHARD_ROWS=parts.SHARD_ROWS)
vars(sharding).update(PART_SHARDS=parts.PART_SHARDS, write_part=watched(sharding.write_part))
vars(releasing).update(write_part=sharding.write_part)
