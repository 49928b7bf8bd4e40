"""Web sockets with Flask-Sock: a page that shows a clock and answers what is typed.

`pip install flask-sock`, then `portico run web_socket --threads 20`: each web socket holds a thread.
"""

from __future__ import annotations

import time

from flask import Flask, request
from flask_sock import Sock
from simple_websocket import Server

app = Flask(__name__)
# A client that is gone without a word is noticed after a minute.
app.config["SOCK_SERVER_OPTIONS"] = {"ping_interval": 25}
sock = Sock(app)

PAGE = """<!doctype html>
<title>Web sockets</title>
<p id="clock"></p>
<form><input autofocus><button>Say</button></form>
<ul id="heard"></ul>
<script>
  function listen() {
    const socket = new WebSocket(location.href.replace(/^http/, "ws") + "talk");
    socket.onmessage = (event) => {
      const { time, heard } = JSON.parse(event.data);
      clock.textContent = time;
      if (heard !== null) document.querySelector("#heard").append(heard, document.createElement("br"));
    };
    // The server was restarted, or is about to be.
    socket.onclose = () => setTimeout(listen, 1000);
    document.forms[0].onsubmit = (event) => {
      event.preventDefault();
      socket.send(event.target[0].value);
      event.target.reset();
    };
  }
  listen();
</script>
"""


@app.get("/")
def index() -> str:
    return PAGE


@sock.route("/talk")
def talk(ws: Server) -> None:
    """Tell the time each second, and what was heard meanwhile, until either side goes."""
    is_draining = request.environ["portico.draining"]
    heard = None
    while not is_draining():
        ws.send(app.json.dumps({"time": time.strftime("%X"), "heard": heard}))
        heard = ws.receive(timeout=1)
