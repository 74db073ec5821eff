"""One zone of a million RRsets: how long until it is answered from, and what memory it takes, beside other servers."""
