"""The ready-made steps."""
