"""Watches released models: drift, data quality and, once outcomes are known, performance.

Reads the prediction log, batch predictions and the reference sample of the released bundle; writes reports,
verdicts and the model owners' site. It never reads the warehouse and never changes what is served.
"""
