"""A small, real Session network in one process: service nodes, a seed node, a file server and, if asked for, a
community server.

It answers as the real servers do, so that a client can be tried, tested and scripted against with no internet; and it
misbehaves as real networks do, if `chaos` tells it to.
Built on `session_cli.protocol` alone, so that it can't share a misunderstanding with the client above it.
"""
