"""What all our models share: the training step, copies, descriptions, and work on many tasks, cores and workers."""
