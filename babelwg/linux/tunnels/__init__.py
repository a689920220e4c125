"""WireGuard tunnels through three back ends: kernel, embedded, and any userspace WireGuard that speaks UAPI."""
