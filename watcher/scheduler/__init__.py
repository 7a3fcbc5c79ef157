"""The observing half: what is due, and asking for it."""
