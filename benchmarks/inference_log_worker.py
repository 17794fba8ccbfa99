"""A process that logs answers as a worker does, and says of each that it is acknowledged.

python -m benchmarks.inference_log_worker LOG COUNT_FILE LIFE ENTRIES_A_SECOND
"""

from __future__ import annotations

import mmap
import signal
import struct
import sys
import threading
import time
from pathlib import Path

from churn_assets.serving.answering.segments import Entry, SegmentLog, encoded

COUNT = struct.Struct("<q")
"""How many entries are acknowledged; a page that is shared with who started this process."""
INPUTS = {
    "tenure": 12, "contract": "Month-to-month", "charges": 70.35, "charged": 840.2,
    "internet": "Fiber optic", "payment": "Bank transfer", "senior": 0, "partner": "Yes",
    "dependents": "No", "phone": "Yes", "lines": "No", "security": "No", "backup": "Yes",
    "protection": "No", "support": "No", "television": "Yes", "movies": "No", "paperless": "Yes",
    "gender": "Male",
}  # fmt: skip
"""What is logged of a use case of nineteen inputs."""
BEST = 0.3
"""A threshold."""
_STEP = 50
"""Entries between two looks at the clock."""


def entry(life: int, place: int) -> Entry:
    """One answer, of which everything but the names differs from others."""
    score = (place * 2654435761 % 1_000_003) / 1_000_003
    return Entry(
        f"{life}-{place}", 0, time.time_ns() // 1000, (f"{place % 7043:04}-ABCDE",), "key",
        "/v1/telco_churn/predict", {**INPUTS, "charged": round(score * 9000, 2)}, score,
        score > BEST, BEST, "high" if score > 2 * BEST else "low", 3, "1.2.0", "champion", 1.0,
        False, 12, 0.08, 200, None,
    )  # fmt: skip


def main(folder: str, count: str, life: int, rate: float) -> None:
    """Log until SIGTERM comes."""
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    log = SegmentLog(folder, age_seconds=1.0)
    with Path(count).open("r+b") as file, mmap.mmap(file.fileno(), COUNT.size) as shared:
        begun, place = time.monotonic(), 0
        while not ended.is_set():
            for _ in range(_STEP):
                log.write(encoded([entry(life, place)]))
                place += 1
                COUNT.pack_into(shared, 0, place)
            ended.wait(max(0.0, begun + place / rate - time.monotonic()))
    log.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
