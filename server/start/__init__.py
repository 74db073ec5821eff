"""The steps of a start that are an idea of their own: sockets, who answers, the first load.

`server.app` puts them together. Nothing here starts by being imported. This room must not know the command line, nor in
which order `server.app` takes the steps.
"""
