"""Queues between functions."""
