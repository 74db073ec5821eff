"""A server that is started anew on sockets that somebody else holds, while queries come at a steady rate."""
