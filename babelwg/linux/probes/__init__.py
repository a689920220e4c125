"""Questions to the world beyond an uplink: ping, TCP, HTTP, DNS and programs."""
