"""What `import dps` offers beside the analysis: a study run from Python, and masks for any module."""
