"""What the commands that operators type cost, beside those of Knot and PowerDNS."""
