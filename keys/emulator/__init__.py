"""A local KMS that speaks the AWS KMS protocol with real keys, real SigV4 and real key policies.

It must not know zones or Signwright's own client: to it, Signwright is one caller among others. `key_policy`,
`ordered_faults`, `key_records` and `key_names` decide; `keystore`, `aws_files` and `http_edge` act; `run` puts them
together.
"""
