"""Checks of arguments, with errors that name the argument. Nothing here knows a model."""
