"""The steps of the child function: what happens behind the queue, in a function of its own."""


def save_record(event):
    """Save a record; here it is only shown."""
    print(f"save_record({event})")
    return event


def print_event_log(event):
    """Show what was saved."""
    print(f"print_event_log({event})")
    return event
