"""What was loaded, as the configuration of those who use it: nodes, clusters, charts, models.

evidence.py  signed receipts -> what is where; nothing else is believed
reach.py     the targets themselves: is it still there, and what is in a chart
world.py     both together: all that an emitter may look at
mirrors.py   source names -> target names, as the prefixes that mirrors and policies speak of
release.py   the values of a chart: renamed by structure (spots.py), proved by rendering (trial.py)
formats.py   the formats by name; each is one emitter, a function of the world, in its own file
folder.py    the files of all of them, written as one
command.py   dray relocate
"""
