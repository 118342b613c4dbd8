"""The typed Python client of the Kilowise API; it needs nothing but httpx."""
