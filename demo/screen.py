"""The terminal: headings, tables and a live view, and on request a picture of all that stayed on it."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console, RenderableType
from rich.live import Live

PICTURE_WIDTH = 120

# A picture must not fetch its font from anywhere.
_SELF_CONTAINED = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)


class Screen:
    """Shows the demo.

    Args:
        pictures: Folder for an SVG of each act, numbered; None for none.
    """

    def __init__(self, *, pictures: Path | None = None) -> None:
        self._console = Console(highlight=False)
        self._pictures = pictures
        self._recorder: Console | None = None
        self._act = 0

    def announce(self, text: str) -> None:
        """Begin an act."""
        self.save_picture()
        self._act += 1
        if self._pictures is not None:
            self._recorder = Console(record=True, file=io.StringIO(), width=PICTURE_WIDTH, highlight=False)
        self._print("")
        self._print(f"[bold]{self._act}. {text}[/]")

    def say(self, text: str) -> None:
        """One line."""
        self._print(text)

    def show(self, picture: RenderableType) -> None:
        """A table or panel."""
        self._print("")
        self._print(picture)

    @contextmanager
    def live(self) -> Iterator[Callable[[RenderableType], None]]:
        """A view that is drawn again at each call; what was drawn last stays. A picture shows it half-way, too."""
        drawn: list[RenderableType] = []
        with Live(console=self._console, refresh_per_second=8) as live:

            def show(picture: RenderableType) -> None:
                drawn.append(picture)
                live.update(picture)

            yield show
        if self._recorder is not None and drawn:
            self._recorder.print(drawn[len(drawn) * 2 // 3])
            self._recorder.print(drawn[-1])

    def save_picture(self) -> None:
        """Write the act's picture, where pictures are wanted."""
        if self._recorder is not None and self._pictures is not None:
            self._pictures.mkdir(parents=True, exist_ok=True)
            path = str(self._pictures / f"demo-{self._act}.svg")
            self._recorder.save_svg(path, title="make demo", code_format=_SELF_CONTAINED)
            self._recorder = None

    def _print(self, picture: RenderableType) -> None:
        self._console.print(picture)
        if self._recorder is not None:
            self._recorder.print(picture)
