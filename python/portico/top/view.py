"""The table on a terminal, which follows the server, made with Textual.

A `watcher.py` sends what the server says; keys sort, filter and expand what is there, and ask for stacks and
for a new worker. Whatever takes time has a thread of its own, so that the screen waits for nobody. What the
server says is shown as text, never as markup.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import ClassVar

from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from portico.ctl.connection import ask
from portico.errors import OperatorError
from portico.top import model
from portico.top.columns import COLUMNS, Order
from portico.top.dialogs import Question, Text
from portico.top.driver import TerminalDriver
from portico.top.sample import Sample
from portico.top.stacks import take_stacks
from portico.top.table import call_line, column_widths, head_lines, heading, row_line, title_span
from portico.top.text import escaped, fitted
from portico.top.watcher import Watcher

# Of the sparkline.
_MOST_HISTORY = 600
_KEYS = "s sort  / filter  enter requests  k stack  r recycle  p pause  ? help  q quit"
_HELP = """\
up, down          choose a worker, or a request of it
left, right       choose a column: its title is underlined
s                 sort by that column; once more: the other way round
/                 show only workers with a text in a path, the state or
                  the pid; enter keeps the filter, escape ends it
enter             show the requests of a worker, or hide them; on a
                  request: show all of it
k                 take the stacks of all threads of the worker
r                 replace the worker, once its successor is ready
p                 hold the screen as it is, or go on
q                 quit

BUSY    threads in a request, and how many there are
SENT/S  bytes of the bodies of responses
RSS     resident memory, pages that are shared included
RST     workers that had this number before
FOR     how long the oldest request has been there"""


class Sampled(Message):
    """The server has said how it is."""

    def __init__(self, sample: Sample) -> None:
        super().__init__()
        self.sample = sample


class Lost(Message):
    """The server cannot be reached."""

    def __init__(self, why: str) -> None:
        super().__init__()
        self.why = why


class Done(Message):
    """Something that was asked for has come to something: what to say, or to `show` under a title."""

    def __init__(self, text: str, show: str = "") -> None:
        super().__init__()
        self.text = text
        self.show = show


class Rows(OptionList):
    """The lines of workers and their requests."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "app.choose(-1)", show=False),
        Binding("right", "app.choose(1)", show=False),
    ]


class TopApp(App[None]):
    """The screen. `first` is what the server at `path` has said already; `find` finds that one again."""

    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "sort"),
        Binding("slash", "filter"),
        Binding("k", "stack"),
        Binding("r", "recycle"),
        Binding("p", "pause"),
        Binding("question_mark", "help"),
        Binding("escape", "clear_filter"),
        Binding("q,ctrl+c", "quit", priority=False),
    ]
    CSS = """
    #head { height: 4; }
    #event, #heading, #keys { height: 1; }
    #head, #heading, #event, #keys { text-wrap: nowrap; }
    #heading { text-style: bold; margin-top: 1; }
    #event.-lost { text-style: bold reverse; }
    #keys { dock: bottom; text-style: dim; }
    #filter { dock: bottom; border: none; height: 1; padding: 0; margin-bottom: 1; display: none; }
    #filter.-shown { display: block; }
    Rows { height: 1fr; border: none; padding: 0; background: transparent; text-wrap: nowrap; }
    Rows:focus { border: none; background-tint: transparent; }
    Rows > .option-list--option { padding: 0; }
    App:nocolor Rows:focus > .option-list--option-highlighted { text-style: bold underline; }
    """

    def __init__(
        self, path: str, first: Sample, find: Callable[[], str], *, interval_s: float, no_color: bool = False
    ) -> None:
        super().__init__(driver_class=TerminalDriver, ansi_color=True if no_color else None)
        self._watcher = Watcher(
            path,
            find,
            interval_s=interval_s,
            on_sample=lambda sample: self.post_message(Sampled(sample)),
            on_lost=lambda why: self.post_message(Lost(why)),
        )
        self._latest = first
        # What is seen: a sample, and the one before it.
        self._seen: tuple[Sample, Sample | None] = (first, None)
        self._history: deque[float] = deque(maxlen=_MOST_HISTORY)
        self._event = ""
        self._order = Order()
        self._chosen = 0
        self._expanded: set[int] = set()
        self._filter = ""
        self._widths: list[int] = []
        # What a line of the list is about: a worker, and perhaps a request of it.
        self._lines: dict[str, tuple[model.Row, model.Call | None]] = {}
        self._is_paused = False
        self._is_lost = False

    def compose(self) -> ComposeResult:
        yield Static(id="head", markup=False)
        yield Static(id="event", markup=False)
        yield Static(id="heading", markup=False)
        yield Rows(id="rows", markup=False, compact=True)
        yield Input(id="filter", placeholder="path, state or pid", compact=True)
        yield Static(_KEYS, id="keys", markup=False)

    def on_mount(self) -> None:
        self._rows_list.focus()
        self._draw()
        self._watcher.start()

    def on_unmount(self) -> None:
        self._watcher.stop()

    def on_resize(self) -> None:
        self._draw()

    # --- What the server says

    def on_sampled(self, message: Sampled) -> None:
        before, self._latest = self._latest, message.sample
        if self._is_lost:
            self._is_lost = False
            self._say("the server is there again")
        for event in model.read_events(message.sample, before):
            self._say(event)
        rate = model.read_head(message.sample, before).requests_rate
        if rate is not None:
            self._history.append(rate)
        if not self._is_paused:
            self._seen = (message.sample, before)
            self._draw()

    def on_lost(self, message: Lost) -> None:
        self._is_lost = True
        self._say(f"connection lost, trying again: {message.why.splitlines()[0]}")

    def on_done(self, message: Done) -> None:
        self._say(message.text)
        if message.show:
            self.push_screen(Text(message.text, escaped_lines(message.show)))

    def _say(self, event: str) -> None:
        self._event = f"{time.strftime('%H:%M:%S')} {event}"
        self._draw_event()

    # --- What is seen

    @property
    def _rows_list(self) -> Rows:
        return self.query_one("#rows", Rows)

    @property
    def _is_there(self) -> bool:
        """Whether there is something to draw on: not before it is composed, nor while it is taken down."""
        return bool(self.query("#keys"))

    def _draw(self) -> None:
        if not self._is_there:
            return
        cells = self.size.width
        head = model.read_head(*self._seen)
        lines = head_lines(head, tuple(self._history), cells)
        self.query_one("#head", Static).update("\n".join(fitted(line, cells) for line in lines))
        self._draw_event()
        rows = model.read_rows(*self._seen)
        # Columns do not become narrower again: they would move with every number.
        self._widths = column_widths(rows, self._widths)
        self._draw_heading()
        self._draw_rows(self._order.sorted(model.matching(rows, self._filter)))

    def _draw_event(self) -> None:
        if not self._is_there:
            return
        paused = "paused  " if self._is_paused else ""
        filtered = f"filter: {escaped(self._filter)}  " if self._filter else ""
        static = self.query_one("#event", Static)
        static.set_class(self._is_lost, "-lost")
        static.update(fitted(f"{paused}{filtered}{escaped(self._event)}" or " ", self.size.width))

    def _draw_heading(self) -> None:
        start, end = title_span(self._widths, self._chosen)
        line = fitted(heading(self._widths, self._order), self.size.width)
        content = Content(line).stylize("underline", start, end)
        self.query_one("#heading", Static).update(content)

    def _draw_rows(self, rows: list[model.Row]) -> None:
        lines: dict[str, str] = {}
        self._lines = {}
        for row in rows:
            key = f"worker-{row.pid}"
            lines[key], self._lines[key] = row_line(row, self._widths), (row, None)
            for index, call in enumerate(row.calls if row.pid in self._expanded else ()):
                key = f"request-{row.pid}-{index}"
                lines[key], self._lines[key] = call_line(call), (row, call)
        listed = self._rows_list
        width = self.size.width
        options = {option.id: option for option in listed.options}
        if list(options) == list(lines):
            for key, line in lines.items():
                listed.replace_option_prompt(key, fitted(line, width))
            return
        chosen, index = listed.highlighted_option, listed.highlighted or 0
        offset = listed.scroll_y
        listed.set_options(Option(fitted(line, width), id=key) for key, line in lines.items())
        if lines:
            is_there = chosen is not None and chosen.id in lines
            listed.scroll_to(y=offset, animate=False)
            listed.highlighted = (
                listed.get_option_index(chosen.id)  # type: ignore[union-attr, arg-type]
                if is_there
                else min(index, len(lines) - 1)
            )

    # --- Keys

    def action_choose(self, by: int) -> None:
        """Choose the column beside the one that is chosen."""
        self._chosen = (self._chosen + by) % len(COLUMNS)
        while self._widths and not self._widths[self._chosen]:
            self._chosen = (self._chosen + by) % len(COLUMNS)
        self._draw_heading()

    def action_sort(self) -> None:
        """Sort by the column that is chosen, or the other way round."""
        self._order = self._order.by(self._chosen)
        self._draw()

    def action_pause(self) -> None:
        """Hold the screen, or go on."""
        self._is_paused = not self._is_paused
        self._draw()

    def action_help(self) -> None:
        """Say what each key does."""
        self.push_screen(Text("portico top", _HELP))

    def action_filter(self) -> None:
        """Ask for a filter."""
        field = self.query_one("#filter", Input)
        field.add_class("-shown")
        field.focus()

    def action_clear_filter(self) -> None:
        """Show all workers."""
        self.query_one("#filter", Input).value = ""
        self._end_filter()

    def on_input_changed(self, event: Input.Changed) -> None:
        self._filter = event.value.strip()
        self._draw()

    def on_input_submitted(self) -> None:
        self._end_filter()

    def _end_filter(self) -> None:
        self.query_one("#filter", Input).remove_class("-shown")
        self._rows_list.focus()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Show or hide the requests of a worker; show a request in full."""
        row, call = self._lines[event.option_id or ""]
        if call is not None:
            self.push_screen(Text(f"worker {row.number}, pid {row.pid}", escaped(str(call))))
            return
        self._expanded ^= {row.pid}
        self._draw()

    def action_stack(self) -> None:
        """Take the stacks of the worker that is chosen."""
        if chosen := self._chosen_line():
            row, call = chosen
            title = f"worker {row.number}, pid {row.pid}"
            self._do(
                lambda: Done(f"stacks of {title}", _stacks(row.control or self._watcher.path, row, call))
            )

    def action_recycle(self) -> None:
        """Replace the worker that is chosen, if that is what is wanted."""
        if not (chosen := self._chosen_line()):
            return
        row = chosen[0]

        def recycle(is_wanted: bool | None) -> None:
            if is_wanted:
                self._say(f"worker {row.number}, pid {row.pid}, is to be replaced")
                self._do(lambda: Done(_recycle(row.control or self._watcher.path, row)))

        self.push_screen(
            Question(f"Replace worker {row.number}, pid {row.pid}, once its successor is ready?"), recycle
        )

    def _chosen_line(self) -> tuple[model.Row, model.Call | None] | None:
        option = self._rows_list.highlighted_option
        return None if option is None else self._lines.get(option.id or "")

    def _do(self, what: Callable[[], Done]) -> None:
        """Have it done on a thread, which ends with the process whoever it waits for."""

        def run() -> None:
            try:
                done = what()
            except OperatorError as error:
                done = Done(error.message.splitlines()[0])
            self.post_message(done)

        threading.Thread(target=run, name="portico top: asked", daemon=True).start()


def escaped_lines(text: str) -> str:
    """Return a text of several lines as it may stand on a terminal."""
    return "\n".join(map(escaped, text.splitlines()))


def _stacks(path: str, row: model.Row, call: model.Call | None) -> str:
    stacks = take_stacks(path, row.pid)
    calls = row.calls if call is None else (call,)
    return "\n".join([*(call_line(each).strip() for each in calls), "", stacks])


def _recycle(path: str, row: model.Row) -> str:
    ask(path, "recycle", pid=row.pid)
    return f"worker {row.number}, pid {row.pid}, is replaced"
