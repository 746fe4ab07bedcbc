"""Functions apart: placement of steps, calls between functions, queues."""
