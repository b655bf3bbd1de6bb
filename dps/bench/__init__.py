"""Speed, side by side in one run: the plain way of doing the study, ours, and the least that any exact way must do."""
