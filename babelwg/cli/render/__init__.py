"""Text from the daemon's data: aligned, at most as wide as the terminal, names before keys."""
