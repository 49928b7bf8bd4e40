"""What stands before the table for a moment: a question, or a text to be read."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static


class Question(ModalScreen[bool]):
    """Asks for a yes or a no."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "dismiss(True)", "yes"),
        Binding("n,escape,q,ctrl+c", "dismiss(False)", "no"),
    ]
    CSS = """
    Question { align: center middle; }
    Question > Vertical { width: 64; max-width: 100%; height: auto; border: round $foreground; padding: 0 1; }
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(self._text, markup=False)
            yield Static("\ny yes   n no", markup=False)


class Text(ModalScreen[None]):
    """Shows a text, which may be longer than the screen."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter,q,ctrl+c", "dismiss", "close"),
    ]
    CSS = """
    Text { align: center middle; }
    Text > VerticalScroll { width: 96%; height: auto; max-height: 96%; }
    Text > VerticalScroll { border: round $foreground; padding: 0 1; }
    """

    def __init__(self, title: str, text: str) -> None:
        super().__init__()
        self._title = title
        self._text = text

    def compose(self) -> ComposeResult:
        with VerticalScroll() as scroll:
            scroll.border_subtitle = "escape closes"
            yield Static(f"{self._title}\n\n{self._text}", id="text", markup=False)
