"""Signatures that publishers made: verified on both sides by the same code, from bytes alone."""
