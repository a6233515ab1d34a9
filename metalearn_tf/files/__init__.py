"""Files on disk: written completely or not at all, by one process at a time, and identified by a fingerprint."""
