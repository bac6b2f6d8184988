"""Testing (3.1): windows, scores, suppression, and the cascade that goes before."""
