"""Flask saying hello."""

from flask import Flask

app = Flask(__name__)


@app.get("/")
def hello() -> str:
    """13 bytes of text."""
    return "Hello, World!"
