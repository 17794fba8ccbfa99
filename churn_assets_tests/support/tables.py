"""Made-up tables such as people bring: wide, lopsided, all numbers, oddly named, of two keys."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl

Rng = np.random.Generator


@dataclass(frozen=True)
class Table:
    """A table, and what is typed for `churn new`."""

    name: str
    records: pl.DataFrame
    keys: tuple[str, ...]
    label: str
    positive: str
    format: str = "csv"
    delimiter: str = ","
    encoding: str = "utf-8"

    def write(self, folder: Path) -> Path:
        """Write the records to a file of their format."""
        file = folder / f"{self.name}.{self.format}"
        if self.format == "parquet":
            self.records.write_parquet(file)
        else:
            text = self.records.write_csv(separator=self.delimiter)
            file.write_bytes(text.encode(self.encoding))
        return file

    def arguments(self, folder: Path) -> list[str]:
        """What is typed after `churn new`."""
        keys = [part for key in self.keys for part in ("--key", key)]
        label = ["--label", self.label, "--positive", self.positive]
        how = ["--delimiter", self.delimiter] if self.delimiter != "," else []
        how += ["--encoding", self.encoding] if self.encoding != "utf-8" else []
        return [self.name, "--from", str(self.write(folder)), *keys, *label, *how]


def churns(rng: Rng, score: np.ndarray, rate: float) -> np.ndarray:
    """Who churns: by chance, more likely the higher the score, and a rate of all in the end."""
    noisy = score + rng.logistic(size=len(score))
    return noisy > np.quantile(noisy, 1 - rate)


def wide(rows: int = 1000) -> Table:
    """Three hundred columns, some of which tell nothing and one of which tells too much."""
    rng = np.random.default_rng(1)
    numbers = rng.normal(size=(rows, 240)).round(4)
    kinds = rng.integers(0, 5, size=(rows, 51))
    left = churns(rng, 1.5 * numbers[:, 0] + numbers[:, 1] + (kinds[:, 0] == 0), 0.3)
    columns: dict[str, object] = {"Account Number": [f"A{i:07d}" for i in range(rows)]}
    columns |= {f"Usage{i:03d}": numbers[:, i] for i in range(240)}
    columns |= {f"Option{i:02d}": np.array(list("abcde"))[kinds[:, i]] for i in range(51)}
    columns |= {
        "Row": np.arange(1, rows + 1),
        "Branch": ["Main"] * rows,
        "Notes": [None] * rows,
        "Remark": [f"called about bill {i} and was told so" for i in range(rows)],
        "Town": [f"Town {i}" for i in rng.integers(0, 300, rows)],
        "Joined": [str(date(2015, 1, 1) + timedelta(int(d))) for d in rng.integers(0, 2500, rows)],
        "Churn Reason": np.where(left, rng.choice(["price", "moved", "other"], rows), ""),
        "Left": np.where(left, "Yes", "No"),
    }
    return Table("wide", pl.DataFrame(columns), ("Account Number",), "Left", "Yes")


def lopsided(rows: int = 4000) -> Table:
    """One in twenty churns; and columns are called what Python has other uses for."""
    rng = np.random.default_rng(2)
    calls, months = rng.poisson(2, rows), rng.integers(1, 60, rows)
    plan = rng.choice(["basic", "plus", "pro"], rows, p=[0.5, 0.3, 0.2])
    left = churns(rng, 0.9 * calls - 0.05 * months - (plan == "pro"), 0.05)
    records = pl.DataFrame({
        "id": np.arange(rows) + 10_000, "calls": calls, "self": months, "cls": plan,
        "index": rng.gamma(2, 30, rows).round(2), "churned": left.astype(int),
    })  # fmt: skip
    return Table("lopsided", records, ("id",), "churned", "1")


def numeric(rows: int = 2000) -> Table:
    """Numbers alone, typed, some of them missing."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(rows, 4))
    missing = rng.random(rows) < 0.1
    age = 40 + 9 * x[:, 2]
    records = pl.DataFrame({
        "customer": np.arange(rows), "balance": (1000 * np.exp(x[:, 0])).round(2),
        "score": x[:, 1], "visits": rng.poisson(3, rows),
        "age": [None if gone else int(years) for gone, years in zip(missing, age, strict=True)],
        "label": churns(rng, 1.5 * x[:, 0] - x[:, 1], 0.4).astype(int),
    })  # fmt: skip
    return Table("numeric", records, ("customer",), "label", "1", format="parquet")


def accents(rows: int = 2000) -> Table:
    """Names with blanks and accents, in a file of another encoding and delimiter."""
    rng = np.random.default_rng(4)
    children, years = rng.integers(0, 4, rows), rng.integers(0, 12, rows)
    city = rng.choice(["Málaga", "León", "Cádiz"], rows)
    left = churns(rng, 1.2 * (city == "León") - 0.3 * years + 0.3 * children, 0.35)
    income = rng.integers(800, 4000, rows).astype(str)
    income[rng.random(rows) < 0.05] = "NA"
    records = pl.DataFrame({
        "código de cliente": [f"cli-{i}" for i in range(rows)], "número de hijos": children,
        "años con nosotros": years, "Ciudad": city, "ingreso €": income,
        "class": rng.choice(["x", "y"], rows), "¿se fue?": np.where(left, "sí", "no"),
    })  # fmt: skip
    key, label = ("código de cliente",), "¿se fue?"
    return Table("accents", records, key, label, "sí", delimiter=";", encoding="cp1252")


def two_keys(rows: int = 2400) -> Table:
    """A record for each customer and month; the last month's outcome is not known yet."""
    rng = np.random.default_rng(5)
    who, month = np.divmod(np.arange(rows), 12)
    days = [date(2024, int(m) + 1, 1) for m in month]
    use, price = rng.gamma(3, 10, rows).round(1), rng.choice([9.9, 14.9, 24.9], rows)
    left = churns(rng, 0.1 * price - 0.08 * use, 0.25)
    records = pl.DataFrame({
        "customer_id": [f"C{w}" for w in who], "month": [f"{d:%d.%m.%Y}" for d in days],
        "use": use, "price": price, "channel": rng.choice(["web", "shop", "phone"], rows),
        "churn": np.where(month == 11, "", np.where(left, "true", "false")),
    })  # fmt: skip
    return Table("two_keys", records, ("customer_id", "month"), "churn", "true")


SHAPES: dict[str, Callable[[], Table]] = {
    table.__name__: table for table in (wide, lopsided, numeric, accents, two_keys)
}
