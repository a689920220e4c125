"""Why a prefix is routed as it is, for people: names, filters, the kernel's own answer, and who takes packets away."""
