"""What `bugreport` collects, and what it takes out before anybody sees it."""
