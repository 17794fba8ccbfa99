"""The Open Inference Protocol, version 2: what KServe, Seldon and Triton clients send.

Source: kserve/open-inference-protocol, `specification/protocol/inference_rest.md`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import msgspec

from churn_assets.serving.answering.calls.decoding import decoded
from churn_assets.serving.answering.calls.problems import refused
from churn_assets.serving.answering.faults import Fault

PLATFORM = {"compiled": "churn_bundle", "pipeline": "churn_pipeline"}
"""What a model's metadata call the two ways to answer: compiled, or by the stored Pipeline."""
OUTPUTS = {"churn_probability": "FP64", "decision": "BOOL", "risk_band": "BYTES"}
_NUMBERS = frozenset(
    ["FP16", "FP32", "FP64"]
    + [f"{kind}{bits}" for kind in ("INT", "UINT") for bits in (8, 16, 32, 64)]
    + ["BOOL"]
)


class Tensor(msgspec.Struct):
    """One input: a column of the model's, for each customer in turn."""

    name: str
    shape: list[int]
    datatype: str
    data: list[Any]
    parameters: dict[str, Any] = {}


class RequestedOutput(msgspec.Struct):
    """One output that is asked for."""

    name: str
    parameters: dict[str, Any] = {}


class InferenceRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A call to `infer`."""

    inputs: list[Tensor]
    id: str | None = None
    parameters: dict[str, Any] = {}
    outputs: list[RequestedOutput] = []


_decoder = msgspec.json.Decoder(InferenceRequest)


def request_of(body: bytes) -> InferenceRequest:
    """What a call asks.

    Raises
    ------
    ProblemError
        400 or 422.
    """
    call: InferenceRequest = decoded(_decoder, body)
    unknown = [one.name for one in call.outputs if one.name not in OUTPUTS]
    if unknown:
        known = ", ".join(OUTPUTS)
        raise refused(
            [Fault("outputs", "", f"names an output that is not there; there are {known}")]
        )
    return call


def rows_of(call: InferenceRequest, inputs: Mapping[str, str]) -> list[dict[str, Any]]:
    """The customers of a call, each by input.

    Parameters
    ----------
    call : InferenceRequest
        With a tensor for each input, of shape [n] or [n, 1].
    inputs : mapping of str to str
        By name, `number` or `text`.

    Raises
    ------
    ProblemError
        422, with all that is wrong.
    """
    faults: list[Fault] = []
    columns: dict[str, Sequence[Any]] = {}
    for i, tensor in enumerate(call.inputs):
        place = f"inputs[{i}]"
        if tensor.name in columns:
            faults.append(Fault(f"{place}.name", "", "is there twice"))
        if not _is_column(tensor.shape) or prod(tensor.shape) != len(tensor.data):
            faults.append(
                Fault(f"{place}.shape", "", "is not [n] or [n, 1] with n values in `data`")
            )
        kinds = {"BYTES"} if inputs.get(tensor.name) == "text" else _NUMBERS
        if tensor.name in inputs and tensor.datatype not in kinds:
            faults.append(
                Fault(f"{place}.datatype", "", f"is not one of {', '.join(sorted(kinds))}")
            )
        columns[tensor.name] = tensor.data
    if len({len(values) for values in columns.values()}) > 1:
        faults.append(Fault("inputs", "", "have different numbers of customers"))
    if faults:
        raise refused(faults)
    rows = len(next(iter(columns.values()), ()))
    return [{name: values[i] for name, values in columns.items()} for i in range(rows)]


def _is_column(shape: Sequence[int]) -> bool:
    return len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)  # noqa: PLR2004


def response_to(
    call: InferenceRequest, model: str, version: int, answers: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """The answer to a call.

    Parameters
    ----------
    call : InferenceRequest
        Names the outputs that are wanted; all, where it names none.
    model : str
        Its name.
    version : int
        Of the model.
    answers : sequence of mapping
        Each customer's, with the columns of predictions.
    """
    wanted = [one.name for one in call.outputs] or list(OUTPUTS)
    response: dict[str, Any] = {
        "model_name": model,
        "model_version": str(version),
        "outputs": [
            {
                "name": name,
                "datatype": OUTPUTS[name],
                "shape": [len(answers)],
                "data": [answer[name] for answer in answers],
            }
            for name in wanted
        ],
    }
    if call.id is not None:
        response["id"] = call.id
    return response


def model_metadata(
    model: str, version: int, path: str, inputs: Mapping[str, str]
) -> dict[str, Any]:
    """What a model takes and gives."""
    return {
        "name": model,
        "versions": [str(version)],
        "platform": PLATFORM[path],
        "inputs": [
            {"name": name, "datatype": "FP64" if kind == "number" else "BYTES", "shape": [-1]}
            for name, kind in inputs.items()
        ],
        "outputs": [
            {"name": name, "datatype": datatype, "shape": [-1]}
            for name, datatype in OUTPUTS.items()
        ],
    }
