"""The version of the library, which model cards name."""

__version__ = "0.1.0"
