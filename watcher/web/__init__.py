"""What the watcher shows over HTTP: health, readiness and metrics."""

from watcher.web.listen import bind
from watcher.web.server import WebServer
from watcher.web.status import Condition, Status

__all__ = ["Condition", "Status", "WebServer", "bind"]
