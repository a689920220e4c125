"""A storm over a grid of real daemons, and what may not happen in it."""
