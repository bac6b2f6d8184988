"""Training (3.1): patch sets, batches, augmentation, plan; averaging, calibration and distillation of weights."""
