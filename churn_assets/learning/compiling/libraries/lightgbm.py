"""LightGBM's C library, called without its Python package, which brings scikit-learn and pandas."""

from __future__ import annotations

import ctypes
import weakref
from array import array
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from churn_assets.errors import BundleError
from churn_assets.learning.compiling.libraries.found import library_of

if TYPE_CHECKING:
    from churn_assets.types import Floats

PROBABILITY, CONTRIBUTIONS = 0, 3
"""What is asked of trees: their prediction, or what each column adds to it and the base."""
_FLOAT, _DOUBLE = 0, 1
_ONE_THREAD = b"num_threads=1"


class Booster:
    """Trees that were read from LightGBM's text format.

    Parameters
    ----------
    text : bytes
        The model.
    columns : int
        How many columns its rows have.
    single : bool
        Whether rows are given in single precision.

    References
    ----------
    LightGBM's C API, `LGBM_BoosterPredictForMatSingleRowFast`.
    """

    def __init__(self, text: bytes, columns: int, *, single: bool = False) -> None:
        self._library, self._with_gil = _libraries()
        self._columns, self._single = columns, single
        self._handle = ctypes.c_void_p()
        configs: list[ctypes.c_void_p] = []
        self._configs = configs
        # Text that is cut off would be read beyond its end.
        self._check(
            self._library.LGBM_BoosterLoadModelFromString(
                ctypes.c_char_p(text), ctypes.byref(ctypes.c_int()), ctypes.byref(self._handle)
            )
        )
        weakref.finalize(self, _free, self._library, self._handle, configs)

    def one(self, buffer: array[float], asked: int = PROBABILITY) -> One:
        """What predicts the row that a buffer holds, which may be longer."""
        return One(self, buffer, asked)

    def many(self, rows: Floats, asked: int = PROBABILITY) -> Floats:
        """What is asked of many rows, of shape (n_rows, n_columns).

        Returns
        -------
        array of shape (n_rows,) or (n_rows, n_columns + 1)
        """
        kind = np.float32 if self._single else np.float64
        given = np.ascontiguousarray(rows, dtype=kind)
        width = self._columns + 1 if asked == CONTRIBUTIONS else 1
        found = np.empty((len(given), width))
        length = ctypes.c_int64()
        self._check(
            self._library.LGBM_BoosterPredictForMat(
                self._handle,
                given.ctypes.data_as(ctypes.c_void_p),
                ctypes.c_int(_FLOAT if self._single else _DOUBLE),
                ctypes.c_int32(len(given)),
                ctypes.c_int32(self._columns),
                ctypes.c_int(1),
                ctypes.c_int(asked),
                ctypes.c_int(0),
                ctypes.c_int(-1),
                ctypes.c_char_p(_ONE_THREAD),
                ctypes.byref(length),
                found.ctypes.data_as(ctypes.c_void_p),
            )
        )
        return found if asked == CONTRIBUTIONS else found[:, 0]

    def _check(self, status: int) -> None:
        if status != 0:
            message = self._library.LGBM_GetLastError().decode(errors="replace")
            raise BundleError(f"LightGBM cannot evaluate the bundle's trees: {message}.")


class One:
    """Predicts the row that its buffer holds.

    Parameters
    ----------
    booster : Booster
        Whose trees.
    buffer : array
        Of the row's precision.
    asked : int
        What is asked of them.
    """

    __slots__ = ("_booster", "_call", "_found", "_given", "buffer", "row")

    def __init__(self, booster: Booster, buffer: array[float], asked: int) -> None:
        columns, single = booster._columns, booster._single
        self._booster = booster
        self.buffer = buffer
        # The same memory as an array.
        self.row: Any = np.frombuffer(buffer, np.float32 if single else np.float64)[:columns]
        width = columns + 1 if asked == CONTRIBUTIONS else 1
        self._found = (ctypes.c_double * width)()
        config = ctypes.c_void_p()
        booster._check(
            booster._library.LGBM_BoosterPredictForMatSingleRowFastInit(
                booster._handle,
                ctypes.c_int(asked),
                ctypes.c_int(0),
                ctypes.c_int(-1),
                ctypes.c_int(_FLOAT if single else _DOUBLE),
                ctypes.c_int32(columns),
                ctypes.c_char_p(_ONE_THREAD),
                ctypes.byref(config),
            )
        )
        booster._configs.append(config)
        address, _ = self.buffer.buffer_info()
        self._given = (
            config,
            ctypes.c_void_p(address),
            ctypes.byref(ctypes.c_int64()),
            ctypes.byref(self._found),
        )
        self._call: Callable[..., int] = booster._with_gil.LGBM_BoosterPredictForMatSingleRowFast

    def number(self) -> float:
        """The prediction."""
        status = self._call(*self._given)
        if status:
            self._booster._check(status)
        return self._found[0]

    def numbers(self) -> Floats:
        """The contributions, of shape (n_columns + 1,)."""
        self._booster._check(self._call(*self._given))
        return np.array(self._found)


@cache
def _libraries() -> tuple[Any, Any]:
    """The library, and the same one for calls that are too short to let other threads run."""
    path = library_of("lightgbm", "lib_lightgbm")
    library, with_gil = ctypes.CDLL(path), ctypes.PyDLL(path)
    library.LGBM_GetLastError.restype = ctypes.c_char_p
    return library, with_gil


def _free(library: Any, handle: ctypes.c_void_p, configs: list[ctypes.c_void_p]) -> None:
    for config in configs:
        library.LGBM_FastConfigFree(config)
    library.LGBM_BoosterFree(handle)
