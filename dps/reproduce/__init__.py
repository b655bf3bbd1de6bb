"""Training recorded studies again as they were, and comparing how they end with what their records say."""
