"""The queue of folders of the embedded mode, which may be deleted under a living worker.

kombu's own transport takes the missing folder for an error that nothing can mend: the worker stops, and its child is
killed in the middle of a run. A message is only a bell, so here the folder is made again and the queue is empty.
"""

from __future__ import annotations

from pathlib import Path
from queue import Empty
from typing import Any

from kombu.transport import TRANSPORT_ALIASES, filesystem

# kombu is only partly typed.
_Channel: Any = filesystem.Channel
_Transport: Any = filesystem.Transport


class Channel(_Channel):
    def _get(self, queue: str) -> Any:
        try:
            return super()._get(queue)
        except FileNotFoundError:
            self._make_folders()
            raise Empty from None

    def _put(self, queue: str, payload: Any, **options: Any) -> None:
        self._make_folders()
        super()._put(queue, payload, **options)

    def _size(self, queue: str) -> int:
        self._make_folders()
        return int(super()._size(queue))

    def _purge(self, queue: str) -> int:
        self._make_folders()
        return int(super()._purge(queue))

    def _lookup(self, exchange: str, routing_key: str, default: str | None = None) -> list[str]:
        """Which queue a message belongs into was written down in the folder too. Here every queue has its own key."""
        return [queue for queue in super()._lookup(exchange, routing_key, default) if queue] or [routing_key]

    def _make_folders(self) -> None:
        for folder in (self.data_folder_in, self.control_folder):
            Path(folder).mkdir(parents=True, exist_ok=True)


class Transport(_Transport):
    Channel = Channel


def install() -> None:
    """`filesystem://` means this transport from now on."""
    TRANSPORT_ALIASES["filesystem"] = "config.folders:Transport"
