"""The Route 53 API as the AWS SDKs speak it: rest-xml over HTTP, signed by SigV4.

Shapes, errors and limits are read from the service's own model, as botocore ships it; nothing here spells them again.
`api` is the HTTP edge, `requests` and `responses` turn XML into values and back, and each handler turns the values of
one operation into a call of `server.hosting.zone_operations`. It must not know how a change is stored or served.
"""
