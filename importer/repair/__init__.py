"""Repair: what is damaged or lost on the media is made again, or it is said who has to do what."""
