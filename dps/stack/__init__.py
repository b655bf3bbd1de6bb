"""The trials of a study, trained together as one stack of models."""
