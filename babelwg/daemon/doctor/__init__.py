"""`doctor`: small checks, each with a verdict, what was found, the likely cause and the command that mends it."""
