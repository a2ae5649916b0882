"""Fuzzing: one function for each parser of foreign bytes; none may raise anything but DrayError."""
