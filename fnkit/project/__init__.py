"""Settings, loading a user's file, authoring objects."""
