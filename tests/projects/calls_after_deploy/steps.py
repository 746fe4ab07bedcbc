class Double:
    def do(self, body):
        return body * 2
