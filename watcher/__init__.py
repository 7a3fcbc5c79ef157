"""Watches CLOVA Studio tuning tasks and tells every change. Start reading in scheduler/sweep.py and notifier/deliver.py."""

__version__ = "0.1.0"
