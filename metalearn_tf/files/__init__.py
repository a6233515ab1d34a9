"""What is kept on disk: written whole or not at all, by one process at a time, and known again by its fingerprint."""
