"""Steps around a queue: one before it, one behind it that keeps what it gets, and now and then does not survive it."""

import os
import random
import signal


def take(event):
    return event


def keep(event):
    crash = float(os.environ.get("CRASH", "0"))
    if random.random() < crash:
        os.kill(os.getpid(), signal.SIGKILL)
    if event.get("poison"):
        raise ValueError(f"event {event['n']} is poisonous")
    line = f"{event['key']} {event['n']}\n"
    sink = os.open(os.environ["SINK"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(sink, line.encode())
    os.close(sink)
    if random.random() < crash:
        os.kill(os.getpid(), signal.SIGKILL)
