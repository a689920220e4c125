"""The Noise_IKpsk2 handshake as WireGuard uses it: primitives, messages, cookies and timestamps."""
