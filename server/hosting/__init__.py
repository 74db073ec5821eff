"""Which zones are served, and where they come from: files, images, hosted zones, the parent's DS, and who answers.

It must not know who asks for a change: the Route 53 API and the control protocol come in by what is here.
"""
