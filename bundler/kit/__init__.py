"""``dray kit``: the high side's program with all that it needs, as one signed file."""
