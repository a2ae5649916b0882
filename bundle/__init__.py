"""The bundle format as code, shared by both sides of the air gap."""

__version__ = "0.1.0"
