"""Benchmarks. Each prints a ratio or a figure beside its goal, both sides measured in the same run."""
