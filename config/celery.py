"""The queue: app, queues, the names of tasks, and how a message is sent.

The web knows a task by its name only; a test proves that each name here is registered by workers/tasks.py.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from celery import Celery, signals
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, transaction
from kombu.exceptions import OperationalError

from config import embedded, folders

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

# Names of tasks.
RUN = "workers.tasks.run"

# Queues. `gpu` is the only one whose worker imports torch.
CPU = "cpu"
GPU = "gpu"

# How often a worker says that it is alive and sweeps: expired leases, lost runs, bells that did not ring. In seconds.
# Every worker does it, so that there is no scheduler to start, and none that could be missing.
PULSE = 10.0

folders.install()
app = Celery("plumbline")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.task_default_queue = CPU
app.conf.include = ["workers.tasks"]
# Celery waits ten seconds for a sign of life from a killed process. The run's row knows better.
app.conf.worker_lost_wait = 1.0


def ring(run_id: int, *, queue: str) -> None:
    """Wake a worker for a run once the transaction has committed.

    A broker that is down loses nothing: the row is the truth, and a worker's sweep rings again.
    """

    def send() -> None:
        if app.conf.task_always_eager:  # Tests: the task runs here and now, so its body must be known.
            app.loader.import_default_modules()
        with contextlib.suppress(OperationalError, OSError):
            make_folders()
            # `send_task` would ignore eager mode, so that tests would not run the task.
            app.signature(RUN, args=[run_id], queue=queue).apply_async()

    transaction.on_commit(send)


def do_here(run_id: int) -> None:
    """Do a run in this process, as a worker would: for a command. Nothing happens where a worker was quicker."""
    app.loader.import_default_modules()
    app.tasks[RUN](run_id)


def make_folders() -> None:
    """The filesystem broker wants its folders to exist."""
    options = app.conf.broker_transport_options or {}
    for key in ("data_folder_in", "control_folder"):
        if key in options:
            Path(options[key]).mkdir(parents=True, exist_ok=True)


@contextlib.contextmanager
def or_no_start() -> Iterator[None]:
    """Around what a worker does before it takes messages: where it fails, the worker ends and says why.

    Celery logs an Exception of a signal's receiver and starts all the same: a worker that looks well, serves an unsound
    database, or has no pulse.
    """
    try:
        yield
    except (ImproperlyConfigured, embedded.EmbeddedError) as refusal:
        raise SystemExit(str(refusal)) from refusal
    except DatabaseError as error:
        raise SystemExit(
            f"The worker does not start: the database does not answer ({' '.join(str(error).split())}). "
            f"Start the database, or mend DATABASE_URL, and start the worker again."
        ) from error
    except Exception as error:
        raise SystemExit(f"The worker does not start: {type(error).__name__}: {error}") from error


@signals.worker_init.connect
def prepare_worker(sender: Any, **_: Any) -> None:
    """Before a worker connects to anything: the database runs, the broker's folders exist, the start is sound."""
    from config import checks, namesakes

    with or_no_start():
        embedded.ensure_running()
        make_folders()
        checks.refuse_unsound_start()
        namesakes.take_name(sender.hostname, state=settings.VAR)
