"""The kernel's side: links, tunnels, routes, rules, sysctls and their events."""
