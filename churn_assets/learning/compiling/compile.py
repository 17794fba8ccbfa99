"""Compile a fitted model into a bundle, and see that it answers as the model does."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from churn_assets.errors import first_line
from churn_assets.learning.compiling import format
from churn_assets.learning.compiling.bundle import Bundle
from churn_assets.learning.compiling.comparison import REASONS, Comparison, compare
from churn_assets.learning.compiling.customers import Columns, Invention
from churn_assets.learning.compiling.described import business_of, schemas_of
from churn_assets.learning.compiling.format import (
    COMPILED,
    FORMAT,
    MANIFEST,
    PIPELINE,
    Golden,
    Manifest,
    Part,
    encode,
)
from churn_assets.learning.compiling.model import model_of
from churn_assets.learning.compiling.parts import (
    LIGHTGBM_FILE,
    XGBOOST_FILE,
    NotCompilableError,
    Parts,
)

if TYPE_CHECKING:
    import pandas as pd

    from churn_assets.learning.compiling.comparison import Scorer
    from churn_assets.learning.registry import Version
    from churn_assets.learning.storing.files import StoredModel
    from churn_assets.usecases.spec import UseCase

CHECKED = 400
"""Customers of each kind that are compared when a model is registered, in less than a second."""
_SLOWER = 16
"""As many times fewer, where contributions are found by trying or by walking all trees."""
_GOLDEN = 12
_FOLDER = "model"
_MODEL_FILE = "MLmodel"


@dataclass(frozen=True)
class Compiled:
    """A bundle that was not written yet.

    Parameters
    ----------
    manifest : Manifest
        What is known of the model.
    parts : mapping of str to bytes
        The files that it names.
    comparison : Comparison
        What was compared with the Pipeline; of a bundle that differs, which is not kept, too.
    differs : bool
        Whether something was compiled that does not answer as the Pipeline, which therefore serves.
    """

    manifest: Manifest
    parts: Mapping[str, bytes]
    comparison: Comparison
    differs: bool = False

    @property
    def files(self) -> dict[str, bytes]:
        """All files of the bundle, by name."""
        return {MANIFEST: encode(self.manifest), **self.parts}

    @property
    def figures(self) -> dict[str, Any]:
        """What the check on the model shows."""
        return {
            "equal": not self.differs,
            "path": self.manifest.path,
            "why": self.manifest.why,
            **asdict(self.comparison),
        }


def compile_model(
    use_case: UseCase,
    model: Any,
    version: Version,
    model_name: str,
    *,
    stored: Callable[[], StoredModel],
    packages: Sequence[str] = (),
    rows: pd.DataFrame | None = None,
    checked: int = CHECKED,
) -> Compiled:
    """Compile a fitted model, or keep its Pipeline where nothing else answers as it does.

    Parameters
    ----------
    use_case : UseCase
        As the model was trained.
    model : Pipeline, Blend or Recalibrated
        Fitted.
    version : Version
        What it is registered as.
    model_name : str
        By which name.
    stored : callable
        Gives the files of the registered model.
    packages : sequence of str
        Whose types it may hold beside those of this package.
    rows : DataFrame, optional
        Inputs of customers that it was trained on, to be compared by; none of them is kept.
    checked : int
        How many of them are compared at most, and as many hostile ones that are made up.
    """
    from threadpoolctl import threadpool_limits

    from churn_assets.learning.explaining.causes import causes
    from churn_assets.learning.scorer import scorer

    parts = Parts()
    part, why = _taken_apart(parts, model)
    invention = Invention(use_case, parts)
    truth = scorer(use_case, model, version, features_version=0)
    likely = invention.likely(_GOLDEN)
    manifest = Manifest(
        format=FORMAT,
        use_case=use_case.name,
        description=use_case.description,
        model_name=model_name,
        version=version.version,
        run_id=version.run_id,
        semantic_version=version.tags.get("semantic_version", ""),
        threshold=version.threshold,
        risk_bands={name: float(least) for name, least in use_case.risk_bands.items()},
        keys=use_case.keys,
        inputs={name: "number" if name in use_case.numeric else "text" for name in use_case.inputs},
        path=COMPILED,
        why=why,
        business=business_of(use_case.business),
        called={name: use_case.called(name) for name in use_case.inputs},
        causes={name: dict(shares) for name, shares in causes(use_case).shares.items()},
        schemas=schemas_of(use_case, invention.known, likely),
        made_with=_libraries(parts),
        model=part or format.Stored(_FOLDER, tuple(packages)),
        golden=tuple(_golden(invention, likely, truth)),
    )
    compared = Comparison()
    if part is not None:
        count = checked if _is_fast(part) else max(checked // _SLOWER, 1)
        batches = [likely, invention.hostile(count)]
        if rows is not None and len(rows):
            batches.append(_some(rows, count, invention))
        try:
            bundle = Bundle(manifest, model_of(part, parts.files, manifest.inputs))
            # Customers of extremes overflow; on few rows, threads wait longer than they work.
            with np.errstate(all="ignore"), threadpool_limits(1):
                for columns in batches:
                    compared += compare(bundle, invention.batch(columns), truth)
            why = compared.faults
        except Exception as error:
            # Whatever it is, the Pipeline serves, and the check says why.
            why = f"what was compiled cannot be evaluated: {first_line(error)}"
        if not why:
            checks = {"rows": float(compared.rows), "score_difference": compared.score}
            manifest = msgspec.structs.replace(manifest, checked=checks)
            return Compiled(manifest, parts.files, compared)
    kept = stored()
    files = {name: kept.files[name] for name in (_MODEL_FILE, kept.flavor["pickled_model"])}
    manifest = msgspec.structs.replace(
        manifest, path=PIPELINE, why=why, model=format.Stored(_FOLDER, tuple(packages))
    )
    own = {f"{_FOLDER}/{name}": content for name, content in files.items()}
    return Compiled(manifest, own, compared, differs=part is not None)


def _taken_apart(parts: Parts, model: Any) -> tuple[Part | None, str]:
    """The part that a model is; None where there is none, and why."""
    try:
        return parts.of(model), ""
    except NotCompilableError as error:
        return None, str(error)


def _is_fast(part: Part) -> bool:
    """Whether contributions are looked up, so that many customers can be compared in no time."""
    if isinstance(part, format.Recalibrated):
        return _is_fast(part.base)
    if isinstance(part, format.Blend):
        return all(map(_is_fast, part.members))
    return isinstance(part, format.Linear) or (
        isinstance(part, format.Trees) and part.reasons == "tables"
    )


def _some(rows: pd.DataFrame, count: int, invention: Invention) -> Columns:
    """Some customers, drawn evenly, with made-up amounts where they have none."""
    places = np.unique(np.linspace(0, len(rows) - 1, count).astype(int))
    some = rows.iloc[places].astype(object)
    inputs = some.where(some.notna(), None)
    made_up = invention.likely(len(some))
    return {
        **{name: inputs[name].tolist() for name in invention.use_case.inputs},
        **{name: made_up[name] for name in invention.amounts},
    }


def _golden(invention: Invention, columns: Columns, truth: Scorer) -> Iterator[Golden]:
    """Made-up customers as batch answers them."""
    names = invention.use_case.inputs
    batch = invention.batch(columns)
    for i, answer in enumerate(truth(batch).to_pylist()):
        yield Golden(
            {name: columns[name][i] for name in names},
            {name: columns[name][i] for name in invention.amounts},
            answer["churn_probability"],
            answer["decision"],
            answer["risk_band"],
            answer.get("expected_value"),
            tuple(answer[name] for name in REASONS),
        )


def _libraries(parts: Parts) -> dict[str, str]:
    """Versions of the libraries that evaluate a model."""
    names = {"numpy", "churn-assets"}
    names |= {
        "xgboost-cpu" if name.endswith(XGBOOST_FILE) else "lightgbm"
        for name in parts.files
        if name.endswith((XGBOOST_FILE, LIGHTGBM_FILE))
    }
    return {name: importlib.metadata.version(name) for name in sorted(names)}
