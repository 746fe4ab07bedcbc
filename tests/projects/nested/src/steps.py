from src.words import shout


class Shout:
    def do(self, body):
        return shout(body)
