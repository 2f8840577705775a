"""Looking into artifacts: what they are, whether they are whole, and what they say about themselves.

Everything here reads forward once and keeps a few MiB at most, so that an artifact may be larger than the memory.
"""
