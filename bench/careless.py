"""The web application without the locks of submit and claim: what serves the control of `bench.overlap --http`."""

from bench.exactness import take_locks_out
from config.wsgi import application

take_locks_out()

__all__ = ["application"]
