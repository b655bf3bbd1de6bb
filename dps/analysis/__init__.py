"""From records to numbers, in frames: studies, fits, and the verdict on each claim."""
