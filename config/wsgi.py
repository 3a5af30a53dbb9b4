"""The web server's way in."""

import os

from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver

from config import checks, embedded

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
embedded.ensure_running()
# WhiteNoise warns where the folder of collected files is missing; in the embedded mode nothing is collected.
(embedded.var_folder() / "static").mkdir(parents=True, exist_ok=True)
application = get_wsgi_application()
# Now, not within the first request of every process: reading all views takes a second.
_ = get_resolver().url_patterns
checks.refuse_unsound_start()
