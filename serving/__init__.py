"""The HTTP API and the model store behind it.

Import concrete submodules directly: importing this package must not load BentoML, models or settings.
"""
