"""Real data, for tests where it lies on this machine."""

from __future__ import annotations

import os

from churn_assets_tests.support.processes import CHECKOUT

DATA = CHECKOUT / os.environ.get("CHURN_TEST_DATA", CHECKOUT.parent / "shared" / "data")
TELCO = DATA / "telco_customer_churn.csv"
BOOKINGS = DATA / "hotel_bookings.csv"
