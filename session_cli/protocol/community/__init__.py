"""Communities: public rooms on servers, and what their people and servers say. Nothing here does I/O or reads a clock.

A room is found by its address (`urls`), which holds the server's key. On a server an account goes by a blinded id or by
its own, and signs its requests as such (`auth`). Every request is a value that knows how to read its answer
(`requests`, `endpoints`); all that a poll asks of one server fits into a single one (`poll`).

What comes back are rooms (`rooms`), posts, each signed by its author (`posts`), and direct messages between blinded
ids (`inbox`). All of it is a stranger's word: what is not as it should be is left out and counted, one by one.
"""
