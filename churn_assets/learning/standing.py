"""Which MLflow runs are Challenger and Champion, said with their figures in the list of runs."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime

from churn_assets.errors import RegistryError
from churn_assets.learning.registry import CHALLENGER, CHAMPION, Registry, Version

STANDING = "standing"
"""Tag of a run."""
WAS_CHALLENGER, WAS_CHAMPION = f"earlier {CHALLENGER}", f"earlier {CHAMPION}"

_FIGURES = {
    "test_roc_auc": "ROC AUC {:.3f}",
    "test_f1": "F1 {:.3f}",
    "test_brier": "Brier score {:.3f}",
    "test_value_per_1000": "value {:,.0f} for 1,000 customers",
}


def show_challenger(
    registry: Registry, challenger: Version, previous: Version | None, name: str
) -> None:
    """Mark the run of a new Challenger, and the one of the Challenger before it.

    Parameters
    ----------
    registry : Registry
        Of both.
    challenger, previous : Version
        The new one, and the one that it replaces.
    name : str
        What the run of the new one is called from now on.
    """
    _mark(registry, challenger, CHALLENGER, name)
    # One that was promoted is, or was, Champion.
    if previous is not None and previous.run_id != challenger.run_id:
        _mark(registry, previous, WAS_CHALLENGER, only=CHALLENGER)


def show_champion(registry: Registry, champion: Version, previous: Version | None) -> None:
    """Mark the run of a new Champion, and the one of the Champion before it.

    Parameters
    ----------
    registry : Registry
        Of both.
    champion, previous : Version
        The new one, and the one before.
    """
    _mark(registry, champion, CHAMPION)
    if previous is not None and previous.run_id != champion.run_id:
        _mark(registry, previous, WAS_CHAMPION)


def _mark(
    registry: Registry, version: Version, standing: str, name: str = "", only: str = ""
) -> None:
    """Set the tags of a version's run that tell its standing, where it has the one named."""
    from mlflow.entities import RunTag
    from mlflow.utils.mlflow_tags import MLFLOW_RUN_NAME, MLFLOW_RUN_NOTE

    client = registry.client
    # Only a mark: a run that somebody deleted keeps nobody from being promoted.
    with suppress(RegistryError), registry.refusals():
        data = client.get_run(version.run_id).data
        if only and data.tags.get(STANDING) != only:
            return
        figures = [
            words.format(data.metrics[metric])
            for metric, words in _FIGURES.items()
            if metric in data.metrics
        ]
        note = (
            f"{standing.capitalize()} since {datetime.now(UTC):%Y-%m-%d %H:%M} UTC: version "
            f"{version.version}, {version.tags.get('recipe', 'of no known recipe')}. "
            f"On test rows {', '.join(figures) or 'not measured'}."
        )
        tags = {STANDING: standing, MLFLOW_RUN_NOTE: note}
        if name:
            tags[MLFLOW_RUN_NAME] = name
        client.log_batch(version.run_id, tags=[RunTag(*tag) for tag in tags.items()])
