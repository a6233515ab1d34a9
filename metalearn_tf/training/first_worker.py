"""Which of several workers writes files."""


def is_first_worker(model):
    """Whether this process is the first, or only, worker of the strategy that a model trains under."""
    resolver = model.distribute_strategy.cluster_resolver
    return resolver is None or not resolver.task_id
