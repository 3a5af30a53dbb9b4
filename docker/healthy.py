"""The web container's health check: does the health page answer with 200?

Asks from inside the container as the proxy would: for a host that is served, over what counts as https.
"""

import os
import sys
import urllib.error
import urllib.request

host = os.environ.get("PLUMBLINE_HOSTS", "localhost").split(",")[0].strip().lstrip(".*")
request = urllib.request.Request(
    "http://127.0.0.1:8000/health", headers={"Host": host or "localhost", "X-Forwarded-Proto": "https"}
)
try:
    urllib.request.urlopen(request, timeout=5).read()
except urllib.error.HTTPError as error:
    sys.exit(f"{error.code}: {error.read().decode(errors='replace')[:500]}")
except OSError as error:
    sys.exit(str(error))
