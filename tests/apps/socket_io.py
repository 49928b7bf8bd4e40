"""Flask-SocketIO with threads, which takes simple-websocket where that is installed."""

from flask import Flask
from flask_socketio import SocketIO, send

app = Flask(__name__)
socketio = SocketIO(app, async_mode="threading")


@socketio.on("message")
def message(data: str) -> None:
    send(data)
