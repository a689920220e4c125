"""The octets of Babel: prefixes, sequence numbers, TLVs and their encoding (RFC 8966, section 4)."""
