"""Included by the workers of bench.surviving: generates without a model, at a pace that leaves time to be killed.

It does what any engine does: looks what is missing, makes it, writes it inside the fence, tells its progress. Every
candidate that it makes is a line in a file, whether or not it came to be stored: what was made twice is seen there.
"""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path
from typing import Any

from annotation.models import Candidate, Run
from annotation.running import Hold
from workers import tasks


def generate(hold: Hold) -> dict[str, Any]:
    told = hold.run.parameters
    assert hold.run.project is not None
    prompts = list(hold.run.project.prompts.order_by("pk").values_list("pk", flat=True))
    there = Candidate.objects.filter(run=hold.run).count()
    for prompt in prompts:
        taken = set(Candidate.objects.filter(run=hold.run, prompt=prompt).values_list("index", flat=True))
        wanted = [index for index in range(told["n"]) if index not in taken]
        if not wanted:
            continue
        time.sleep(told["pace"])
        with Path(told["file"]).open("a") as file:
            file.write("".join(f"{os.getpid()} {prompt} {index}\n" for index in wanted))
        with hold.fenced():
            Candidate.objects.bulk_create([_candidate(hold.run, prompt, index) for index in wanted])
        there += len(wanted)
        hold.beat(progress=there, total=told["n"] * len(prompts))
    return {"candidates": there}


def _candidate(run: Run, prompt: int, index: int) -> Candidate:
    text = f"{run.pk} {prompt} {index}"
    return Candidate(
        run=run,
        prompt_id=prompt,
        index=index,
        messages=[{"role": "assistant", "content": text}],
        digest=hashlib.sha256(text.encode()).digest(),
        model="stand-in",
    )


tasks.HANDLERS[Run.Kind.GENERATION] = generate
