"""Progress of the stages: bars on a terminal, lines elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn

from noisette import Run, hookimpl
from noisette.formatting import format_duration
from noisette.hooks import Status
from noisette.progress import STATUS_TEXTS, LineProgress, StageProgress

__all__ = ["BarProgress", "show_progress"]

_BARS = 12  # at once


class BarProgress:
    """Shows a bar for each stage, with speed, loss and the time left.

    Args:
        console: a terminal.
        waiting: text shown until the first stage starts; nothing if empty.
    """

    def __init__(self, console: Console, waiting: str = "") -> None:
        self.progress = Progress(
            SpinnerColumn(finished_text="[green]✓"),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[facts]}"),
            console=console,
            refresh_per_second=4,  # each refresh holds the interpreter lock for 2 ms
        )
        self._waiting: TaskID | None = None
        if waiting:
            self._show_waiting(waiting)
        self._pace: StageProgress | None = None
        self._task: TaskID | None = None

    def _show_waiting(self, text: str) -> None:
        self._waiting = self.progress.add_task(f"[dim]{text}", total=None, facts="")

    def hide_waiting(self) -> None:
        """Remove the waiting text."""
        if self._waiting is not None:
            self.progress.remove_task(self._waiting)
            self._waiting = None

    @hookimpl
    def on_run_start(self, run: Run) -> None:
        """Add a bar."""
        self.hide_waiting()
        self._drop_oldest_bars()
        self._pace = StageProgress(run)
        self._task = self.progress.add_task(self._pace.title, total=run.total or None, facts="")

    def _drop_oldest_bars(self) -> None:
        """Print the oldest bars as lines and remove them before there are more than fit on a terminal."""
        for task in self.progress.tasks[: max(0, len(self.progress.tasks) - _BARS + 1)]:
            self.progress.console.print(
                f"[green]✓[/] {task.description} [dim]{task.fields['facts']}", highlight=False
            )
            self.progress.remove_task(task.id)

    @hookimpl
    def on_step(self, step: int) -> None:
        """Advance the bar."""
        if self._pace is None or self._task is None:
            return
        self._pace.update(step)
        self.progress.update(self._task, completed=step, facts="  ".join(self._pace.facts))

    @hookimpl
    def on_activity(self, activity: str) -> None:
        """Show the current activity while the bar does not move."""
        if self._pace is None or self._task is None:
            return
        self._pace.begin(activity)
        self.progress.update(self._task, facts="  ".join(self._pace.facts))

    @hookimpl
    def on_metrics(self, metrics: Mapping[str, float]) -> None:
        """Show the loss."""
        if self._pace is not None:
            self._pace.measure(metrics)

    @hookimpl
    def on_run_end(self, status: Status) -> None:
        """Complete the bar, or leave it where it stopped."""
        if self._pace is None or self._task is None:
            return
        facts = (self._pace.done, self._pace.loss, f"in {format_duration(self._pace.elapsed)}")
        text = "  ".join(fact for fact in facts if fact)
        if status == "finished":
            self.progress.update(self._task, total=1, completed=1, facts=text)
        else:
            self.progress.update(self._task, facts=f"{text}  [yellow]{STATUS_TEXTS[status]}")
            self.progress.stop_task(self._task)
        self._show_waiting("finishing")


@contextmanager
def show_progress(console: Console, waiting: str = "") -> Iterator[BarProgress | LineProgress]:
    """Yield a listener that shows progress on `console`: a `BarProgress` on a terminal, lines elsewhere."""
    if not console.is_terminal:
        yield LineProgress(lambda line: console.print(line, markup=False, highlight=False, soft_wrap=True))
        return
    bars = BarProgress(console, waiting)
    with bars.progress:
        try:
            yield bars
        finally:
            bars.hide_waiting()
