"""Lightning callbacks of a study: thin adapters over the functions in dps."""

from callbacks.checkpoint import StudyCheckpoint
from callbacks.curves import Curves
from callbacks.goal import Goal
from callbacks.noise import Noise
from callbacks.progress import StudyProgress
from callbacks.prune import Prune
from callbacks.record import Record
from callbacks.smoothness import Smoothness

__all__ = ["Curves", "Goal", "Noise", "Prune", "Record", "Smoothness", "StudyCheckpoint", "StudyProgress"]
