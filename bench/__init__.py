"""Side-by-side measurements: dray, the tools that do parts of its job, and plain hashing."""
