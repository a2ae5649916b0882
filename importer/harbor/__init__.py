"""Harbor's own API (``/api/v2.0``): what a registry's protocol does not say, and cannot do."""
