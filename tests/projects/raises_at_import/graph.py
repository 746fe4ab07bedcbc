def settings():
    return {}["missing"]


limit = settings()
