"""How far a training is."""

from __future__ import annotations

from watcher.models import RUNNING, SUCCEEDED, WAIT, Fields


def progress_percent(fields: Fields) -> int | None:
    """Whole percent of the training that is done, rounded down; None where it can't be said.

    Steps are believed before epochs. A waiting task has no progress, a succeeded one is done.
    """
    status = fields.get("status")
    if status == SUCCEEDED:
        return 100
    if status == WAIT:
        return None
    percent = _share(fields, "statusInfo.currStep", "statusInfo.totalTrainSteps")
    return percent if percent is not None else _share(fields, "statusInfo.currEpoch", "statusInfo.totalTrainEpochs")


def milestone_reached(fields: Fields, milestones: tuple[int, ...]) -> int:
    """The highest of `milestones` (percent) that a running training has passed; 0 for none."""
    percent = progress_percent(fields) if fields.get("status") == RUNNING else None
    return max((m for m in milestones if percent is not None and m <= percent), default=0)


def _share(fields: Fields, done: str, total: str) -> int | None:
    part, whole = fields.get(done), fields.get(total)
    if not isinstance(part, int) or not isinstance(whole, int) or isinstance(part, bool) or part < 0 or whole <= 0:
        return None
    return min(100, part * 100 // whole)
