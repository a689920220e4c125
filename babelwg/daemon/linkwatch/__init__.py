"""Whether links carry packets, told by the packets themselves long before Hellos are missed."""
