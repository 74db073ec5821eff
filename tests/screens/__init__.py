"""Pictures of screens for the docs, made from real output (`scripts/screens`)."""
