def note(body):
    return [*body, "parent"]
