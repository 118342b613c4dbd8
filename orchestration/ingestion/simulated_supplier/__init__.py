"""The embedded default source: a county electricity supplier that never existed, delivering files like a real one.

``config`` says what to simulate, ``deliveries.write_deliveries`` writes it as dated delivery folders in the form
of the landing contract, ``truth.hidden_truth`` tells tests and benchmarks what the files do not. Causes (weather,
households, stress, faults) live in one module each; none of their values is ever written to a delivery.
Import concrete submodules; this package re-exports nothing.
"""
