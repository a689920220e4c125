"""A Babel speaker (RFC 8966) that performs no I/O."""
