"""Decides which of several workers writes files."""


def is_first_worker(model):
    """Whether this process is the first or only worker (the chief) of the strategy under which a model trains."""
    resolver = model.distribute_strategy.cluster_resolver
    if resolver is None or resolver.task_id is None:
        return True
    if "chief" in resolver.cluster_spec().jobs:
        return resolver.task_type == "chief"
    return resolver.task_id == 0
