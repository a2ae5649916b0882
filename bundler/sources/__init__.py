"""Where content comes from: one module per kind of upstream."""
