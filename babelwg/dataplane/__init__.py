"""The embedded userspace WireGuard: one process with one thread that hosts many tunnels."""
