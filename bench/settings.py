"""The product's settings, on a benchmark's own database and, where it has one, on its own broker."""

import json
import os

from config.settings import *  # noqa: F403
from config.settings import CELERY_BROKER_URL, DATABASES

DATABASES["default"]["NAME"] = os.environ["BENCH_DATABASE"]
_broker = json.loads(os.environ.get("BENCH_BROKER", "{}"))
CELERY_BROKER_URL = _broker.get("url", CELERY_BROKER_URL)
if _broker:
    CELERY_BROKER_TRANSPORT_OPTIONS = _broker["options"]
