"""What a Challenger is judged by: both models' scores of the same test rows, made now."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from churn_assets.errors import RegistryError
from churn_assets.learning.recipe import GATES_AS_THEY_COME, MAX_ROWS, GateSettings
from churn_assets.learning.registry import CHALLENGER, CHAMPION, Registry, Version
from churn_assets.learning.value import Amounts, amounts
from churn_assets.tables.lake import Table
from churn_assets.tables.sampling import sampled
from churn_assets.usecases.spec import Column, UseCase

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from churn_assets.learning.judging.promotion import Promotion

UNKNOWN_CATEGORY = "a category that nobody has seen"
FARTHEST = 1000
"""How many times the greatest number that was seen an extreme one is."""
HOSTILE_ROWS = 20
SWEPT_ROWS, SWEPT_VALUES = 50, 20
SLIGHTEST = 1e-9
"""A step of a score that is not taken for one."""
NO_CATEGORY = "(none)"
_EVERY_INPUT = "every input"


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
    """

    version: int
    run_id: str
    description: str
    tags: Mapping[str, str]
    has_signature: bool
    has_input_example: bool
    threshold: float
    scores: NDArray[np.float64]


@dataclass(frozen=True)
class Sweep:
    """What a score does as one number grows and all else stays.

    Parameters
    ----------
    direction : int
        1 where it must never fall, -1 where it must never rise.
    values : tuple of float
        That the number was given, ascending.
    scores : tuple of float
        Mean score at each.
    rows, broken : int
        How many customers were looked at, and of how many the score went the wrong way.
    worst : float
        Greatest step the wrong way.
    """

    direction: int
    values: tuple[float, ...]
    scores: tuple[float, ...]
    rows: int
    broken: int
    worst: float


@dataclass(frozen=True)
class Stress:
    """How a model takes hostile but valid rows.

    Parameters
    ----------
    rows : int
        How many there were.
    error : str or None
        What it broke at, if it did.
    improbable : tuple of str
        What it answered with a score that is no probability.
    ranges : mapping of str to (float, float)
        By input, the least and the greatest score of rows in which it was hostile.
    sweeps : mapping of str to Sweep
        By input that the use case calls monotone.
    """

    rows: int
    error: str | None = None
    improbable: tuple[str, ...] = ()
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    sweeps: Mapping[str, Sweep] = field(default_factory=dict)


@dataclass(frozen=True)
class Evidence:
    """What the gates decide by.

    Parameters
    ----------
    challenger : Contender
        Who wants to become Champion.
    champion : Contender or None
        Who is; None only where there never was one.
    labels : array of shape (n_test,)
        What became of each test row.
    split : str
        The split that the test rows come from.
    known : int
        How many labelled test rows there are, of which these may be a sample.
    slices : mapping of str to array of shape (n_test,)
        The group of each test row by column.
    stake : Amounts or None
        What each test row is worth; None without a business case.
    stress : Stress or None
        How the Challenger takes hostile rows; None where there is no row to make them from.
    asked : str
        The gates' settings as JSON, which an approval binds as well.
    """

    challenger: Contender
    champion: Contender | None
    labels: NDArray[np.bool_]
    split: str
    known: int = 0
    slices: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    stake: Amounts | None = None
    stress: Stress | None = None
    asked: str = ""

    @cached_property
    def digest(self) -> str:
        """What an approval binds: sha256 of who is judged, what is asked, and by which rows."""
        said = hashlib.sha256(self.asked.encode())
        for contender in (self.challenger, self.champion):
            if contender is None:
                said.update(b"nobody")
                continue
            named = [contender.version, contender.run_id, repr(contender.threshold)]
            said.update(json.dumps(named).encode())
            said.update(_digits(contender.scores))
        said.update(self.split.encode())
        said.update(self.labels.tobytes())
        for name, groups in self.slices.items():
            said.update(json.dumps([name, *groups.tolist()]).encode())
        if self.stake is not None:
            said.update(json.dumps([self.stake.save_rate, self.stake.accept_rate]).encode())
            said.update(_digits(self.stake.customer_value))
            said.update(_digits(self.stake.offer_cost))
            said.update(_digits(self.stake.contact_cost))
        return said.hexdigest()


def gather(
    use_case: UseCase,
    tables: Mapping[str, Table],
    registry: Registry,
    record: Promotion | None,
    most_rows: int = MAX_ROWS,
    settings: GateSettings = GATES_AS_THEY_COME,
) -> Evidence:
    """Score the test rows, or as large a sample of them, with both models, now.

    Parameters
    ----------
    use_case, tables, registry
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
    """
    import narwhals.stable.v2 as nw

    challenger = registry.by_alias(CHALLENGER)
    if challenger is None:
        raise RegistryError(
            f"{registry.model_name}: there is no Challenger; run `churn run` first."
        )
    incumbent = _incumbent(registry, record, challenger)
    features, state = tables["features"], tables["features"].require()
    test = features.scan(state.version).filter(
        (nw.col("split") == "test") & ~nw.col("label").is_null()
    )
    wanted = test.select(*use_case.keys, *use_case.inputs, *use_case.beside, "label")
    drawn = sampled(wanted, use_case, features.engine, share=1, most_rows=most_rows)
    # In one order, so that either engine gives the same evidence.
    rows = features.engine.collect(drawn.frame.sort(*use_case.keys)).to_pandas()
    inputs = rows[list(use_case.inputs)]
    champion = None
    if incumbent is not None:
        champion = _contender(registry, incumbent, registry.load(incumbent.version), inputs)
    if champion is not None and record is not None:
        # What predictions are decided by, whatever became of the version's tag.
        champion = replace(champion, threshold=record.threshold)
    model = registry.load(challenger.version)
    case = use_case.business
    return Evidence(
        challenger=_contender(registry, challenger, model, inputs),
        champion=champion,
        labels=rows["label"].to_numpy(dtype=bool),
        split=state.details["split"],
        known=drawn.rows,
        slices={name: _groups(rows[name]) for name in use_case.slices},
        stake=None if case is None else amounts(case, rows, len(rows)),
        stress=stressed(model, inputs, use_case) if len(rows) else None,
        asked=settings.model_dump_json(),
    )


def stressed(model: Any, inputs: pd.DataFrame, use_case: UseCase) -> Stress:
    """Let a model score hostile but valid rows, made from real ones.

    In each, one input is amiss: a category is unknown or null, a number is null or extreme, as
    far as the contract allows; and in some, every input is null.

    Parameters
    ----------
    model : classifier
        What answers `predict_proba` of a DataFrame.
    inputs : DataFrame
        Model inputs of at least one customer.
    use_case : UseCase
        Names them, their contract, and what must be monotone.
    """
    cases = [*_hostile(use_case, inputs), (_EVERY_INPUT, None)]
    frame = _spoilt(_some(inputs, HOSTILE_ROWS), use_case, cases)
    each = len(frame) // len(cases)
    try:
        scores = _scores(model, frame).reshape(len(cases), each)
    except Exception as error:
        return Stress(len(frame), _broken_at(model, frame, cases) or _first_line(error))
    amiss = np.flatnonzero(~((scores >= 0) & (scores <= 1)).all(axis=1))
    if len(amiss):
        return Stress(len(frame), improbable=tuple(_said(cases[i]) for i in amiss))
    ranges: dict[str, tuple[float, float]] = {}
    for (name, _), row in zip(cases, scores, strict=True):
        low, high = ranges.get(name, (np.inf, -np.inf))
        ranges[name] = (min(low, float(row.min())), max(high, float(row.max())))
    try:
        sweeps = dict(_swept(model, inputs, use_case))
    except Exception as error:
        return Stress(len(frame), _first_line(error))
    return Stress(len(frame), ranges=ranges, sweeps=sweeps)


def _hostile(use_case: UseCase, inputs: pd.DataFrame) -> Iterator[tuple[str, Any]]:
    """An input, and what it is given."""
    contract = {column.name: column for column in use_case.contract.columns}
    for name in use_case.numeric:
        seen = inputs[name].to_numpy(dtype=np.float64, na_value=np.nan)
        yield from ((name, value) for value in _extremes(seen, contract.get(name)))
        yield name, None
    for name in use_case.categorical:
        yield name, UNKNOWN_CATEGORY
        yield name, None


def _extremes(seen: NDArray[np.float64], column: Column | None) -> list[float]:
    finite = seen[np.isfinite(seen)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 0.0)
    if column is not None and column.isin is not None:
        return [float(value) for value in column.isin]
    if column is None:
        # Of a derived number nothing says the bounds, so it keeps the sign that was seen.
        least, greatest = (None if low < 0 else 0.0), None
    else:
        # Only numbers are looked at, whose bounds are numbers.
        least, greatest = cast("float | None", column.ge), cast("float | None", column.le)
    farthest = FARTHEST * max(abs(low), abs(high), 1.0)
    return [
        value
        for value in dict.fromkeys((low, high, 0.0, farthest, -farthest))
        if (least is None or value >= least) and (greatest is None or value <= greatest)
    ]


def _spoilt(rows: pd.DataFrame, use_case: UseCase, cases: list[tuple[str, Any]]) -> pd.DataFrame:
    """The rows again for each case, with what it says in them."""
    import pandas as pd

    each = len(rows)
    columns: dict[str, NDArray[Any]] = {}
    for name in rows.columns:
        kind = np.float64 if name in use_case.numeric else object
        columns[name] = np.tile(rows[name].to_numpy(dtype=kind), len(cases))
        for i, (spoilt, value) in enumerate(cases):
            if spoilt in (name, _EVERY_INPUT):
                columns[name][i * each : (i + 1) * each] = value
    return pd.DataFrame(columns)


def _broken_at(model: Any, frame: pd.DataFrame, cases: list[tuple[str, Any]]) -> str | None:
    """The first case that a model cannot score, and what it says."""
    each = len(frame) // len(cases)
    for i, case in enumerate(cases):
        try:
            _scores(model, frame.iloc[i * each : (i + 1) * each])
        except Exception as error:
            return f"{_said(case)}: {_first_line(error)}"
    return None


def _swept(model: Any, inputs: pd.DataFrame, use_case: UseCase) -> Iterator[tuple[str, Sweep]]:
    import pandas as pd

    for name, direction in use_case.monotone.items():
        seen = inputs[name].to_numpy(dtype=np.float64, na_value=np.nan)
        if not np.isfinite(seen).any():
            continue
        finite = seen[np.isfinite(seen)]
        values = np.unique(np.quantile(finite, np.linspace(0, 1, SWEPT_VALUES)))
        rows = _some(inputs, SWEPT_ROWS)
        frame = pd.concat([rows.assign(**{name: value}) for value in values])
        scores = _scores(model, frame).reshape(len(values), len(rows))
        steps = direction * np.diff(scores, axis=0)
        yield (
            name,
            Sweep(
                direction=direction,
                values=tuple(values.tolist()),
                scores=tuple(scores.mean(axis=1).tolist()),
                rows=len(rows),
                broken=int((steps < -SLIGHTEST).any(axis=0).sum()),
                worst=float(max(0.0, -steps.min(initial=0.0))),
            ),
        )


def _some(inputs: pd.DataFrame, rows: int) -> pd.DataFrame:
    """So many rows at most, from first to last."""
    places = np.linspace(0, len(inputs) - 1, min(rows, len(inputs))).astype(int)
    return inputs.iloc[places]


def _scores(model: Any, inputs: pd.DataFrame) -> NDArray[np.float64]:
    return np.asarray(model.predict_proba(inputs)[:, 1], dtype=np.float64)


def _said(case: tuple[str, Any]) -> str:
    name, value = case
    if value is None:
        return f"{name} null"
    return f"{name} unknown" if value == UNKNOWN_CATEGORY else f"{name} {value:g}"


def _first_line(error: Exception) -> str:
    said = str(error).splitlines()
    return f"{type(error).__name__}: {said[0]}" if said else type(error).__name__


def _groups(values: pd.Series[Any]) -> NDArray[Any]:
    """The group of each row, as text."""
    missing = values.isna().to_numpy()
    groups: NDArray[Any] = np.where(missing, NO_CATEGORY, values.astype(str).to_numpy(dtype=object))
    return groups


def _digits(numbers: NDArray[np.float64]) -> bytes:
    # Nine digits, and 0 without a sign.
    return (np.round(numbers, 9) + 0.0).tobytes()


def _incumbent(registry: Registry, record: Promotion | None, challenger: Version) -> Version | None:
    """The Champion on record; without a record, whoever else bears the alias."""
    if record is not None:
        return registry.by_number(record.version, record.run_id)
    bearer = registry.by_alias(CHAMPION)
    # An alias that was set by hand on the Challenger itself lets it pass no gate.
    return None if bearer is None or bearer.version == challenger.version else bearer


def _contender(registry: Registry, version: Version, model: Any, inputs: pd.DataFrame) -> Contender:
    card = registry.card(version.version)
    return Contender(
        version=version.version,
        run_id=version.run_id,
        description=version.description,
        tags=version.tags,
        has_signature=card.signature is not None,
        has_input_example=card.saved_input_example_info is not None,
        threshold=version.threshold,
        scores=_scores(model, inputs) if len(inputs) else np.zeros(0),
    )
