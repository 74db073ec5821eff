"""How fast the Route 53 API is: changes under load, listings, and many zones. `docs/performance.md` tells the method.

`scripts/api-speed` runs it. boto3 is the client, `signwright serve` with its embedded KMS emulator the server.

    served    a server of our own, its clients, its memory
    changes   from the API's answer to the first DNS answer with the new data, under load
    listing   a whole zone, page by page
    many      zones created and signed
    figures   medians, the table, the limits that are wanted
"""
