"""The engine: compile a flow once, run events through it."""
