"""A local KMS that speaks the AWS KMS protocol with real keys, real SigV4 and real key policies.

It knows nothing of zones or of Signwright's own client: to it, Signwright is one caller among others. The pure modules
(`sigv4`, `policy`, `faults`, `model`, `names`) decide; `keystore`, `aws_files` and `app` act; `run` puts them together.
"""
