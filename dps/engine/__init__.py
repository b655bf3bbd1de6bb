"""Running a study: its configuration checked, its trials fitted, its trackers closed."""
