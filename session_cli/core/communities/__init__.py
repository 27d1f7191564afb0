"""Communities: public rooms on servers, where we are known by an id that is blinded for each server.

A poll asks each server once for all of its rooms (`receiving`), and what came becomes entries of their conversations
(`intake`). What we write goes straight to the server (`posting`). Which rooms we have joined, our devices tell each
other (`views`). `communities` is what a client offers.
"""
