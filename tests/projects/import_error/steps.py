import os

import a_package_that_nobody_has


class Double:
    def do(self, body):
        return body * 2
