"""``dray doctor``: what will fail tonight, found today, with the sentence that says what to do."""
