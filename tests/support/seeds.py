"""Seeds for random plays: the first in every run, the others where there is time."""

from __future__ import annotations

import pytest
from _pytest.mark import ParameterSet


def seeds(count: int) -> list[ParameterSet]:
    """`count` seeds, all but the first marked `long`."""
    return [pytest.param(seed, marks=[pytest.mark.long] if seed else []) for seed in range(count)]
