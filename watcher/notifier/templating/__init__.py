"""Where users' templates run: `workshop` is our side, `child` the process that is watched and killed."""
