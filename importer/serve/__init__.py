"""``dray serve``: a bundle, straight from its media, as a read-only OCI registry."""
