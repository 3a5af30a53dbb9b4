"""Leases -> longer leases: while a run or a part of one is worked on, a thread of its own says that it is alive."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import DatabaseError, connection

from annotation.dividing import PartHold
from annotation.models import Run
from annotation.running import Cancelled, Hold, Superseded

# The lease is renewed this often while a run works, in seconds: many times within running.LEASE. A cancel request is
# seen as soon; a handler that does not look at it for GRACE seconds can be interrupted. Together they stay below five.
BEAT = 2.0
GRACE = 1.5
# A run that has not ended after this many seconds is given up as hung: its lease is no longer renewed.
LONGEST_RUN = 24 * 3600.0


@contextmanager
def renewing(hold: Hold | PartHold, *, interrupt: Callable[[], None] | None = None) -> Iterator[None]:
    """Renew the lease in a thread of its own, so that a handler may be busy for longer than a lease lasts.

    The thread writes down in the hold that the run is to stop, for the handler to meet at its next `check` or `beat`.
    Where a handler looks at neither for GRACE seconds, `interrupt` is called in that thread.
    """
    ended = threading.Event()

    def renew() -> None:
        try:
            for _ in range(int(LONGEST_RUN / BEAT)):
                if ended.wait(BEAT):
                    return
                try:
                    hold.beat()
                except (Cancelled, Superseded) as stop:
                    if not Run.objects.filter(pk=hold.run.pk).exists():
                        return  # Deleted with its project: the handler meets that where it writes.
                    hold.stopped = stop
                    if not ended.wait(GRACE) and interrupt is not None:
                        interrupt()
                    return
                except DatabaseError:
                    connection.close()  # The database is away. Try again at the next beat.
        finally:
            connection.close()

    thread = threading.Thread(target=renew, name=f"lease of run {hold.run.pk}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
