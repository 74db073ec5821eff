"""What the files of a state are called, and the error that says that they can't be used.

It must import nothing: commands that only name them are to be quick.
"""

DATABASE = "signwright.db"
STATE_KEY = "state.key"


class StateError(Exception):
    """The state can't be used as it is. The message names the file and the way out."""
