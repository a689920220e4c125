"""The engine that plays a network with real namespaces, real links and real processes."""
