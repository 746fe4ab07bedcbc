def note(body):
    return [*body, "child"]
