"""The settings of a worker process under test: the test database, and a broker of its own."""

import json
import os

from config.settings import *  # noqa: F403
from config.settings import DATABASES

DATABASES["default"]["NAME"] = os.environ["TEST_DATABASE"]
_broker = json.loads(os.environ["TEST_BROKER"])
CELERY_BROKER_URL = _broker["url"]
CELERY_BROKER_TRANSPORT_OPTIONS = _broker["options"]
