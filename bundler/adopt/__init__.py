"""Lists that other tools make of what a cluster needs, read as the beginning of a spec."""
