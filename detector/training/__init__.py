"""Training (3.1): patch sets, batches, augmentation, plan, and what is made of trained weights."""
