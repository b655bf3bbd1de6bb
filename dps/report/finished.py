"""What a study has come to, in words for the line that its end prints."""

from pathlib import Path

from dps.protocol.outcome import STATUSES
from dps.storage import ownership, records


def k_star(folder: Path) -> str:
    """K* of the study in a folder."""
    best = records.best(records.read(folder))
    return "goal not reached" if best is None else f"K* {best['steps_to_result']}"


def sentence(folder: Path) -> str:
    """K*, how many trials ended how, and how many of a sweep's trials these are where some are missing."""
    status = records.read(folder)["status"]
    counts = " / ".join(f"{(status == name).sum()} {name}" for name in STATUSES)
    asked = ownership.sweep_trials(folder)
    so_far = f" after {len(status)} of {asked} trials" if len(status) < asked else ""
    return f"{k_star(folder)}{so_far}, {counts}"
