"""Scripted drills of the server form: something is killed in the middle of a run, and what was made is compared."""
