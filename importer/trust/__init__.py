"""The trust file on the high side: shown, replaced by its next versions, and put on record."""
