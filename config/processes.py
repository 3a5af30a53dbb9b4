"""Processes of one's own that know Django. They share neither connection nor lock with the one that starts them."""

from __future__ import annotations

import importlib
import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def helping(count: int, target: str, *arguments: Any) -> Iterator[None]:
    """So many processes that each call a function, until the end of the block; who has not ended then is ended.

    Args:
        count: how many; none are started for 0 and less.
        target: module and function, as "curation.releasing:help_with": known by name, because a new process can
            import nothing before Django is set up.
        arguments: what the function is called with.
    """
    from django.db import connection

    fresh = multiprocessing.get_context("spawn")
    # A test or a benchmark may work in another database than the settings say.
    database = connection.settings_dict["NAME"]
    started = [fresh.Process(target=_begin, args=(database, target, arguments), daemon=True) for _ in range(count)]
    for process in started:
        process.start()
    try:
        yield
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.join()


def _begin(database: str, target: str, arguments: tuple[Any, ...]) -> None:
    import django

    django.setup()
    from django.db import connection

    connection.settings_dict["NAME"] = database
    module, _, function = target.partition(":")
    getattr(importlib.import_module(module), function)(*arguments)
