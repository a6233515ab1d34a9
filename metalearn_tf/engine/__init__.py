"""How any model of ours takes a step, is copied, described and spread over tasks, cores and workers."""
