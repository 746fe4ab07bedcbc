"""The local emulator: function URLs, the Lambda API and the Runtime API over worker processes."""
