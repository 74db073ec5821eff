"""Workers: programs of their own that answer, and do nothing else.

The control process binds the sockets and keeps them (`server.net.listen`), starts the workers and feeds each what it
answers from (`pool`). A worker (`__main__`) opens no file and speaks to nobody but those who ask it and, over one
stream, the control process (`channel`). What crosses that stream are values (`messages`), none of which means anything
on one machine alone: no descriptors, no paths, no pickles. First all zones with their keys, then what changes
(`updates`), each set of zones under a version that the worker acknowledges once it answers from it.

A worker must not know files, the database or the KMS. Private ZSKs cross that stream, and are neither logged nor
written anywhere. A worker whose control process is gone ends: nobody would refresh its keysets, and the ports must be
free for the next start of the server.
"""
