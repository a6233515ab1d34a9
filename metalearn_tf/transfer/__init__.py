"""Transfer: networks that were trained on one dataset, for the classes of another."""
