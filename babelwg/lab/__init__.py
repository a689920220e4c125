"""One description of a network, two engines: virtual time and network namespaces."""
