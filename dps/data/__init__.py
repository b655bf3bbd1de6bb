"""Where images and features come from, and the data of a study."""

from dps.data.study_data import Stream, StudyData

__all__ = ["Stream", "StudyData"]
