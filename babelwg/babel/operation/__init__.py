"""What a speaker does, one section of RFC 8966 per module."""
