"""The graph manifest: its model, its JSON, its JSON Schema and every check."""
