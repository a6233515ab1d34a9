def export_learner(learner, path, **options):
    raise NotImplementedError
