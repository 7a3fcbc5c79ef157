"""Benchmarks. Each prints a ratio or a figure beside its goal, both sides measured in the same run.

`make bench` runs all of them, which takes about eight minutes; `python -m bench NAME ...` runs some. BENCH_SECONDS
shortens or prolongs those that watch for a while: one_account (90, and a third of it once more) and scheduler_load
(40). BENCH_TASKS makes scale smaller (100000).
"""
