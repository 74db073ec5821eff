"""Rules around the keys, each broken on purpose: its tests have to notice (`python -m tests.mutants`)."""
