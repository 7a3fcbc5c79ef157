"""Watches CLOVA Studio tuning tasks and tells every change.

Read `scheduler/sweep.py` and `notifier/deliver.py` first: the two halves, which meet only in the store.
"""

__version__ = "0.1.0"
