"""What a speaker remembers (RFC 8966, section 3.2)."""
