"""Where images and features come from, and the data of a study."""

from dps.data.stream import Stream
from dps.data.study_data import StudyData

__all__ = ["Stream", "StudyData"]
