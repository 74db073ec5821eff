"""What people see of keys and zones: tables, columns, pictures.

It must not know where the values come from: a running server, or a state at rest.
"""
