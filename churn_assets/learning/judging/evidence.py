"""What a Challenger is judged by: both models' scores of the same test rows, made now."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from churn_assets.errors import InputsError, RegistryError
from churn_assets.learning.explaining.causes import customers
from churn_assets.learning.inputs import as_trained, changed, rows_as_trained
from churn_assets.learning.judging.rules import DEFAULT_GATES, GateSettings
from churn_assets.learning.judging.stress import (
    SWEPT_ROWS,
    Stress,
    probabilities,
    spread,
    stress_test,
)
from churn_assets.learning.recipe import MAX_ROWS
from churn_assets.learning.registry import CHALLENGER, CHAMPION, Registry, Version
from churn_assets.learning.value import Amounts, amounts
from churn_assets.learning.workplace import Workplace
from churn_assets.tables.copies import untied
from churn_assets.tables.lake import Committed
from churn_assets.tables.sampling import sampled

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray
    from sklearn.pipeline import Pipeline

    from churn_assets.learning.judging.record import Promotion
    from churn_assets.learning.storing.files import StoredModel
    from churn_assets.types import Bools, Floats, Frame
    from churn_assets.usecases.spec import UseCase

NO_CATEGORY = "(none)"


@dataclass(frozen=True)
class Contender:
    """A registered model and its scores of the rows to judge by, scored now.

    Parameters
    ----------
    version : int
        In the registry.
    run_id : str
        The MLflow run that made it.
    description : str
        As the registry shows it.
    tags : mapping of str to str
        As the registry holds them.
    has_signature, has_input_example : bool
        Whether the stored model carries them.
    threshold : float
        Its own.
    scores : array of shape (n_test,)
        Probability of churn of each test row.
    model_digest : str
        Of the files that gave them.
    """

    version: int
    run_id: str
    description: str
    tags: Mapping[str, str]
    has_signature: bool
    has_input_example: bool
    threshold: float
    scores: Floats
    model_digest: str = ""

    @property
    def decisions(self) -> Bools:
        """Whom it takes for a churner, at its own threshold."""
        decisions: Bools = self.scores >= self.threshold
        return decisions

    @property
    def gives_probabilities(self) -> bool:
        """Whether all scores are probabilities."""
        return bool(((self.scores >= 0) & (self.scores <= 1)).all())


@dataclass(frozen=True)
class Evidence:
    """What the gates decide by.

    Parameters
    ----------
    challenger : Contender
        Who wants to become Champion.
    champion : Contender or None
        Who is; None where there never was one, or it cannot be scored.
    labels : array of shape (n_test,)
        What became of each test row.
    split : str
        The split that the test rows come from.
    known : int
        How many labelled test rows there are to judge by, of which these may be a sample.
    set_aside : int
        How many labelled test rows are not judged on, being tied to one that was trained on.
    slices : mapping of str to array of shape (n_test,)
        The group of each test row by column.
    stake : Amounts or None
        What each test row is worth; None without a business case.
    stress : Stress or None
        How the Challenger takes hostile rows; None without rows to make them from.
    settings : str
        The gates' settings as JSON, which an approval binds as well.
    test_set : str
        A digest of the test rows' keys, labels and split, by which looks at them are counted.
    incomparable : str
        Why there is a Champion that cannot be scored, in a sentence; else empty.
    """

    challenger: Contender
    champion: Contender | None
    labels: Bools
    split: str
    known: int = 0
    set_aside: int = 0
    slices: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    stake: Amounts | None = None
    stress: Stress | None = None
    settings: str = ""
    test_set: str = ""
    incomparable: str = ""

    @property
    def nobody(self) -> str:
        """Why there is no Champion to compare with."""
        return self.incomparable or "there is no Champion yet"

    @property
    def is_sample(self) -> bool:
        """Whether there are more labelled test rows than these."""
        return self.known > len(self.labels)

    @cached_property
    def digest(self) -> str:
        """What an approval binds: sha256 of who is judged, by what settings and which rows."""
        digest = hashlib.sha256(self.settings.encode())
        for contender in (self.challenger, self.champion):
            if contender is None:
                digest.update(b"nobody")
                continue
            identity = [contender.version, contender.run_id, repr(contender.threshold)]
            digest.update(json.dumps(identity).encode())
            digest.update(_digits(contender.scores))
        digest.update(self.incomparable.encode())
        digest.update(self.split.encode())
        digest.update(self.labels.tobytes())
        for name, groups in self.slices.items():
            digest.update(json.dumps([name, *groups.tolist()]).encode())
        if self.stake is not None:
            digest.update(json.dumps([self.stake.save_rate, self.stake.accept_rate]).encode())
            digest.update(_digits(self.stake.customer_value))
            digest.update(_digits(self.stake.offer_cost))
            digest.update(_digits(self.stake.contact_cost))
        return digest.hexdigest()


def gather(
    place: Workplace,
    record: Promotion | None,
    most_rows: int = MAX_ROWS,
    settings: GateSettings = DEFAULT_GATES,
) -> Evidence:
    """Score the test rows, or as large a sample of them, with both models, now.

    Test rows that are tied to one that was trained on are left out: those of its group, and its
    copies where the table has more than chance gives.

    Parameters
    ----------
    place : Workplace
        Whose Challenger it is, and where.
    record : Promotion or None
        Who is Champion on record.
    most_rows : int
        Greatest number of test rows.
    settings : GateSettings
        What the Challenger must reach.

    Raises
    ------
    RegistryError
        Where there is no Challenger, or the Champion on record cannot be had.
    InputsError
        Where the Challenger was trained on what is not an input any more.
    """
    import narwhals.stable.v2 as nw

    use_case, registry = place.use_case, place.registry
    challenger = registry.by_alias(CHALLENGER)
    if challenger is None:
        raise RegistryError(
            f"{registry.model_name}: there is no Challenger; run `churn run` first."
        )
    incumbent = _incumbent(registry, record, challenger)
    features = place.tables["features"]
    state = features.require()
    labelled = features.scan(state.version).filter(~nw.col("label").is_null())
    test = untied(labelled, use_case, state.details).filter(nw.col("split") == "test")
    names = dict.fromkeys([*use_case.row_keys, *use_case.inputs, *use_case.beside])
    columns = test.select(*names, "label")
    sample = sampled(columns, use_case, features.engine, share=1, most_rows=most_rows)
    # In one order, so that either engine gives the same evidence.
    rows = features.engine.collect(sample.frame.sort(*use_case.row_keys)).to_pandas()
    champion, incomparable = None, ""
    if incumbent is not None:
        digest = None if record is None else record.model_digest
        keys = sample.frame.select(*use_case.row_keys)
        try:
            champion = _of_before(place, incumbent, state, rows, keys, digest)
        except InputsError as error:
            incomparable = f"Champion {incumbent.version} cannot be compared with: it {error}"
    if champion is not None and record is not None:
        # What predictions are decided by, whatever became of the version's tag.
        champion = replace(champion, threshold=record.threshold)
    files, model = _model(registry, challenger)
    _require_present_inputs(use_case, challenger, model)
    judged = _contender(registry, challenger, files, model, rows[list(use_case.inputs)])
    case = use_case.business
    return Evidence(
        challenger=judged,
        champion=champion,
        labels=rows["label"].to_numpy(dtype=bool),
        split=state.details["split"],
        known=sample.rows,
        set_aside=state.details.get("not_judged", {}).get("test", 0),
        slices={name: _groups(rows[name]) for name in use_case.slices},
        stake=None if case is None else amounts(case, rows, len(rows)),
        stress=_stressed(place, state, model, rows) if len(rows) else None,
        settings=settings.model_dump_json(),
        test_set=_test_set(rows[[*use_case.row_keys, "label"]], state.details["split"]),
        incomparable=incomparable,
    )


def _stressed(place: Workplace, features: Committed, model: Any, rows: pd.DataFrame) -> Stress:
    """How a model takes hostile rows, made of some of these."""
    use_case = place.use_case
    some = spread(rows, SWEPT_ROWS)
    in_silver = customers(use_case, place.tables, features, some)
    return stress_test(model, rows[list(use_case.inputs)], use_case, in_silver)


def _test_set(rows: pd.DataFrame, split: str) -> str:
    """Digest of who is judged by, and of what became of them."""
    from pandas.util import hash_pandas_object

    each = hash_pandas_object(rows.astype(str), index=False).to_numpy()
    return hashlib.sha256(split.encode() + each.tobytes()).hexdigest()[:16]


def _groups(values: pd.Series[Any]) -> NDArray[Any]:
    """The group of each row, as text."""
    missing = values.isna().to_numpy()
    groups: NDArray[Any] = np.where(missing, NO_CATEGORY, values.astype(str).to_numpy(dtype=object))
    return groups


def _digits(numbers: Floats) -> bytes:
    # Nine digits, and 0 without a sign.
    return (np.round(numbers, 9) + 0.0).tobytes()


def _incumbent(registry: Registry, record: Promotion | None, challenger: Version) -> Version | None:
    """The Champion on record; without a record, whoever else bears the alias."""
    if record is not None:
        return registry.by_number(record.version, record.run_id)
    bearer = registry.by_alias(CHAMPION)
    # An alias that was set by hand on the Challenger itself lets it pass no gate.
    return None if bearer is None or bearer.version == challenger.version else bearer


def _model(
    registry: Registry, version: Version, digest: str | None = None
) -> tuple[StoredModel, Pipeline]:
    """The files of a version, and the model that they hold."""
    files = registry.stored(version.version, digest)
    return files, registry.restore(version.version, files)


def _of_before(
    place: Workplace,
    version: Version,
    features: Committed,
    rows: pd.DataFrame,
    keys: Frame,
    digest: str | None,
) -> Contender:
    """The Champion on the rows to judge by, scored on what it was trained on.

    Raises
    ------
    InputsError
        Where that is not to be had any more.
    """
    use_case, engine = place.use_case, place.tables["features"].engine
    files, model = _model(place.registry, version, digest)
    trained = as_trained(use_case, model)
    if changed(use_case, trained):
        scored = rows_as_trained(use_case, trained, place.tables, features)
        names = dict.fromkeys([*use_case.row_keys, *trained.inputs])
        same = scored.select(*names).join(keys, on=list(use_case.row_keys), how="inner")
        rows = engine.collect(same.sort(*use_case.row_keys)).to_pandas()
    return _contender(place.registry, version, files, model, rows[list(trained.inputs)])


def _require_present_inputs(use_case: UseCase, challenger: Version, model: Pipeline) -> None:
    """Refuse a Challenger of other inputs than those of today."""
    who = f"Challenger {challenger.version}"
    try:
        gone = changed(use_case, as_trained(use_case, model))
    except InputsError as error:
        raise InputsError(f"{who} {error}; train another with `churn run`") from None
    if gone:
        raise InputsError(
            f"{who} was trained on {', '.join(map(repr, gone))}, and the use case has other inputs "
            "today; train another with `churn run`"
        )


def _contender(
    registry: Registry,
    version: Version,
    files: StoredModel,
    model: Pipeline,
    inputs: pd.DataFrame,
) -> Contender:
    """A version with its scores of the rows to judge by."""
    info = registry.info(version.version)
    return Contender(
        version=version.version,
        run_id=version.run_id,
        description=version.description,
        tags=version.tags,
        has_signature=info.signature is not None,
        has_input_example=info.saved_input_example_info is not None,
        threshold=version.threshold,
        scores=probabilities(model, inputs) if len(inputs) else np.zeros(0),
        model_digest=files.digest,
    )
