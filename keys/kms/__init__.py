"""The client side of a KMS: the interface the key manager uses, a client of the AWS KMS protocol, and a fake.

The interface and the errors are all that the key manager knows; which KMS answers is wired where the program is
composed. This room must not know what a key is for, nor which zone it belongs to.
"""
