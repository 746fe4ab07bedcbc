class Fragile:
    def __init__(self, path):
        with open(path) as file:
            self.text = file.read()

    def do(self, body):
        return self.text
