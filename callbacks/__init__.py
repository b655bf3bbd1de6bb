"""Lightning callbacks of a study: thin adapters over the functions in dps."""

from callbacks.checkpoint import StudyCheckpoint
from callbacks.goal import Goal
from callbacks.progress import StudyProgress
from callbacks.prune import Prune
from callbacks.record import Record

__all__ = ["Goal", "Prune", "Record", "StudyCheckpoint", "StudyProgress"]
