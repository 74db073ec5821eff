"""What acts on keys: plan → perform → evolve → save → publish, the state database, and ZSKs encrypted at rest.

It must not know zones' contents, nor who answers: a new keyset leaves by the `publish` that it was handed.
"""
