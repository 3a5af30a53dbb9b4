"""The settings of a worker process under test: the test database, and a broker and a folder of state of its own."""

import json
import os
from pathlib import Path

from config.settings import *  # noqa: F403
from config.settings import DATABASES

# Tests that run at the same time start workers of the same name.
VAR = Path(os.environ["TEST_STATE"])
DATABASES["default"]["NAME"] = os.environ["TEST_DATABASE"]
_broker = json.loads(os.environ["TEST_BROKER"])
CELERY_BROKER_URL = _broker["url"]
CELERY_BROKER_TRANSPORT_OPTIONS = _broker["options"]
