"""Section 4: metrics, evaluation on labelled frames, one detector compared with another."""
