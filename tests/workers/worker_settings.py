"""The settings of a worker process under test: the test database, and a queue folder of its own."""

import os
from pathlib import Path

from config.settings import *  # noqa: F403
from config.settings import CELERY_BROKER_TRANSPORT_OPTIONS, DATABASES

DATABASES["default"]["NAME"] = os.environ["TEST_DATABASE"]
_queue = Path(os.environ["TEST_QUEUE"])
CELERY_BROKER_TRANSPORT_OPTIONS |= {
    "data_folder_in": str(_queue / "messages"),
    "data_folder_out": str(_queue / "messages"),
    "control_folder": str(_queue / "control"),
}
