"""Model serving: router topology, V2 protocol, model runners."""
