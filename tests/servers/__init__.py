"""Real servers and foreign client programs, run on loopback for as long as a test needs them."""
