"""A kit, the program as it is carried to the high side: its document, and how it is verified."""
