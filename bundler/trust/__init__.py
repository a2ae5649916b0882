"""The trust file on the low side: its next version written, changed, and signed by several."""
