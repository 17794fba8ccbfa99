"""What columns mean that are easily taken for one another; said wherever both are shown."""

DECISION = "the score reaches the threshold: a churner is expected, whatever a contact is worth"
CONTACT = (
    "by the business case a contact is expected to bring in more than it costs, within the "
    "budget: a customer of great value may be one below the threshold, and one of little value "
    "none above it"
)
