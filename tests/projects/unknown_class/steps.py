class Double:
    def __init__(self, factor=2):
        self.factor = factor

    def do(self, body):
        return body * self.factor
