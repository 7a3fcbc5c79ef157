"""The store: what is known, what happened, and who has yet to hear of it."""
