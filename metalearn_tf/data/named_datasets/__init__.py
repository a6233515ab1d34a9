"""Loaders of datasets that have a name."""
