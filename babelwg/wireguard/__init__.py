"""The WireGuard protocol as a core that performs no I/O."""
