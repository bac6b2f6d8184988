"""Table 1 and cross-validation: whole courses of trainings compared."""
