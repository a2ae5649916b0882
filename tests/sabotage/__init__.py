"""Takes one check at a time out of the code, to see that a test goes red for each."""
