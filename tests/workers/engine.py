"""Included by a worker under test: its measurement runs do what a test asks for, and its pulse is quick.

Every start of a handler appends a line to the file that the run's parameters name, so that a test can count.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from annotation import renewing
from annotation.models import Run
from annotation.running import Hold
from curation import gathering, releasing, sharding
from curation.export import files
from tests.workers import parts
from workers import tasks

vars(tasks).update(PULSE=0.3)
vars(renewing).update(BEAT=0.2)


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

# Releases and facts in small parts, each of which waits for a gate where its run names one.


def watched(do: Any) -> Any:
    def wait(part: Any, *arguments: Any, **more: Any) -> dict[str, Any]:
        told = part.run.parameters
        while "gate" in told and not Path(told["gate"]).exists():
            part.beat()
            time.sleep(0.05)
        found: dict[str, Any] = do(part, *arguments, **more)
        return found

    return wait


vars(files).update(GROUP_ROWS=parts.GROUP_ROWS, SHARD_ROWS=parts.SHARD_ROWS)
vars(sharding).update(PART_SHARDS=parts.PART_SHARDS, write_part=watched(sharding.write_part))
vars(releasing).update(write_part=sharding.write_part)
vars(gathering).update(PART_PAIRS=parts.PART_PAIRS, execute_part=watched(gathering.execute_part))
