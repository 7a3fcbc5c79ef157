"""The upstream, CLOVA Studio's tuning API: one client per account, pure parsing, typed errors."""

from watcher.clova.client import Answer, Client, ListAnswer, make_ssl_context
from watcher.clova.wire import Page, RateHint

__all__ = ["Answer", "Client", "ListAnswer", "Page", "RateHint", "make_ssl_context"]
