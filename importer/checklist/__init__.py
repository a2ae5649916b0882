"""``dray checklist``: what has to hold before production, and the record that says so.

lines.py    the questions, each answered by records alone
command.py  the command
"""
