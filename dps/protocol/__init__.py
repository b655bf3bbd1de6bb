"""What the study's protocol says, apart from how it is run: the goal, how trials end, and what is searched."""
