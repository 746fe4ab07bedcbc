"""The hosts inside a function: event translation, handler, streaming loop."""
