class Worker:
    def run(self, body):
        return body
