"""The page in a browser: a small HTTP server inside the daemon, and the files that it gives out."""
