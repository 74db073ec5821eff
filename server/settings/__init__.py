"""The configuration file and the command line's zones: from text to what is in force, each error with its line.

It must not know how anything is run; it must not start anything.
"""
