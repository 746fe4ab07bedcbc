"""The steps of the serving function: what happens before the queue."""


def print_event(event):
    """Show an event and pass it on."""
    print(f"print_event({event})")
    return event
