"""Training the best configurations of finished studies again, with seeds that no search has used."""
