"""Planted truth: flipped preferences are found again by their held-out loss, and how long that takes.

    python -m bench.difficulty [--quick]

600 pairs that a tiny Llama of width 64 can learn, 20 % of them flipped; 2 halves, 3 seeds, 5 checkpoints. The figure is
the AUROC of the loss for being flipped. It is compared with one checkpoint of one seed: what the other 14 losses of
each pair are good for. `--quick` takes 160 pairs.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from bench.harness import report, set_up, throw_away_database


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="160 pairs")
    number = 160 if parser.parse_args().quick else 600
    set_up()
    with throw_away_database(), tempfile.TemporaryDirectory() as folder:
        measure(number, Path(folder))


def measure(number: int, folder: Path) -> None:
    import numpy as np

    from annotation.models import Project, Run
    from annotation.running import claim
    from curation.measuring import DifficultyRequest
    from curation.measuring.difficulty import losses_of
    from curation.measuring.preferred import preferred_pairs
    from tests.workers import preferences
    from workers import difficulty
    from workers.backends import load_backend

    project = Project.objects.create(slug="bench", name="Bench")
    flipped = preferences.make_pairs(project, number)
    where = str(preferences.save_model(folder / "tiny"))
    model = load_backend(name="tiny", kind="transformers_local", folder_or_url=where, device="cpu")
    asked = DifficultyRequest(model="tiny", preference="source", learning_rate=3e-3, beta=0.1, batch=8)
    parameters = asked.as_parameters()
    run = Run.objects.create(project=project, kind="measurement", parameters=parameters, code_version="bench")
    hold = claim(run_id=run.pk, worker="bench")
    assert hold is not None
    began = time.perf_counter()
    result = difficulty.execute(hold, open_model=lambda name: model)
    seconds = time.perf_counter() - began
    chosen = preferred_pairs(project=project, asked=asked)
    losses = losses_of(run=run, digest=chosen.digest(model.revision), pairs=chosen.pair, asked=asked)
    planted = np.array([flipped[int(pair)] for pair in chosen.pair])
    auroc = preferences.auroc(losses.mean(axis=(1, 2)), planted)
    alone = preferences.auroc(losses[:, 0, 0], planted)
    trust = run.measurements.get(metric="between_run_spearman")
    report(
        name="difficulty",
        figure=round(auroc, 4),
        unit="AUROC of the held-out loss for being flipped",
        compared_with="the first checkpoint of one seed alone",
        ratio=round(auroc / alone, 3),
        pairs=number,
        seconds=round(seconds, 2),
        training_seconds=result["training_seconds"],
        between_seeds=round(trust.value or 0.0, 3),
    )


if __name__ == "__main__":
    main()
