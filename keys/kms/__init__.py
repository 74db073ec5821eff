"""The client side of a KMS: the interface the custodian uses, a client of the AWS KMS protocol, and a fake.

The interface and the errors are all that the custodian knows; which KMS answers is wired where the program is composed.
"""
