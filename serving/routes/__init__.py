"""The routes of the API, one module per subject; each has ``add_routes(app)``, which ``serving.app`` calls.

A route reads the request, asks ``serving.scoring`` or a store, and writes the answer. Keep decisions out of here: what
an answer says must not depend on how it travels.
"""
