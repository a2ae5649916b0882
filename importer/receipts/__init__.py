"""Receipts of this host: what an import did, signed by the high side's own key.

signing.py  the key, made and used here alone; it signs receipts and nothing else
writing.py  an import's outcome as a receipt
shelf.py    the folder of this host's receipts
command.py  dray receipt keygen, dray receipt list
"""
