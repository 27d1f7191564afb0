"""Closed groups of up to 100: what their admins and members compute. Nothing here does I/O or reads a clock.

A group is an Ed25519 key pair, and its id an account of the swarms like any other. Whoever has the seed is an admin
(`identity`). A member has what an admin signed for it, which lets it into the group's swarm (`subaccount`), and the
keys that the group's messages are encrypted with (`keys`); these change whenever somebody is removed.

In the swarm lie the keys, two configs (`protocol.config`: `group_info`, `group_members`), the messages (`messages`),
among them those by which the group is run (`updates`), and the notices to those who were removed (`kick`).
"""
