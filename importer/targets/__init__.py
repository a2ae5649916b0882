"""Where content goes to: one module per kind of target."""
