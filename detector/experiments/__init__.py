"""Experiments of many trainings: Table 1 and cross-validation."""
