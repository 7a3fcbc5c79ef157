"""Who runs what, and when: today everything in one process with one SQLite file."""
