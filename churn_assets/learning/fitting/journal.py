"""The trials of a search on disk, so that one that was stopped goes on."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from churn_assets.errors import TrainingError, first_line
from churn_assets.learning.fitting.suggestions import frozen
from churn_assets.learning.fitting.trial import Task, Trial


class Journal:
    """A study in a file that each trial is added to as it ends.

    Parameters
    ----------
    file : Path
        Of the journal; made with its folder where there is none.
    study : str
        Name of the study in it.
    task : Task
        Of the search.

    Raises
    ------
    TrainingError
        Where the file cannot be used.
    """

    def __init__(self, file: Path, study: str, task: Task) -> None:
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._task = task
        with _journal_faults(file):
            file.parent.mkdir(parents=True, exist_ok=True)
            _cut_half_line(file)
            self._study = optuna.create_study(
                study_name=study,
                storage=JournalStorage(JournalFileBackend(str(file))),
                load_if_exists=True,
            )
        self._file = file

    def trials(self) -> list[Trial]:
        """Those that ended, from the first one on."""
        with _journal_faults(self._file):
            notes = {
                trial.user_attrs["number"]: trial.user_attrs for trial in self._study.get_trials()
            }
        numbers = itertools.takewhile(notes.__contains__, itertools.count())
        return [
            Trial(
                note["candidate"],
                note["parameters"],
                note["state"],
                tuple(note["losses"]),
                note.get("error", ""),
            )
            for note in map(notes.__getitem__, numbers)
        ]

    def add(self, number: int, trial: Trial) -> None:
        """Keep one more."""
        with _journal_faults(self._file):
            self._study.add_trial(frozen(self._task, number, trial))


def _cut_half_line(file: Path) -> None:
    """A process that was killed while it wrote left a line that nothing can be added to."""
    if file.exists():
        content = file.read_bytes()
        if not content.endswith(b"\n"):
            file.write_bytes(content[: content.rfind(b"\n") + 1])


@contextmanager
def _journal_faults(file: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, KeyError) as error:
        raise TrainingError(
            f"{file}: the trials of the search cannot be kept in it: {first_line(error)}. Remove "
            "the file, or make its folder writable; the search then begins anew."
        ) from error
