"""Loaders and writers of the user's own files."""
