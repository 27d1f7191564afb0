"""What session(1) says of communities: what they are, and who learns what in them."""

from __future__ import annotations

COMMUNITIES = """
A community is a server with public rooms, run by anybody. What is written in a room can be read by everybody, and by
whoever runs the server; it is signed, but not end-to-end encrypted, and stays until it is deleted. A room is named
wherever a person can be, by its address or its short name, and by the name that its server gives it wherever nothing is
written; scripts should use the address, which nobody else can have. There send, attach, react, unsend and log work as
they do with people; session community joins rooms and looks after them. Servers take a few messages at a time from one
person, so that many of them take their time; and they are left alone for a while when they fail. Below is who learns
what.
"""
WHO_LEARNS = {
    "the server": "Sees when you read and write in which room, and keeps all of it. It does not see your address: "
    "requests go through onion paths, unless you say --direct.",
    "your id": "Is made for each server, and begins with 15. It is what everybody in the room sees; your account id is "
    "shown to nobody there. But that hides it from those alone who don't look closely: with the server's key, which is "
    "public, anybody can compute your account id from it. Where nobody may find out, join with an account of its own: "
    "--profile.",
    "name and picture": "Go with what you write, as they do elsewhere.",
    "files": "Are not encrypted, either. The server has them, and everybody can fetch them.",
    "messages to one": "To the 15 id of somebody whom you saw in a room: session send 15…. They go through the server, "
    "end-to-end encrypted, and are message requests that tell the other your account id. The server sees who writes to "
    "whom. The answer comes from their account, and everything after that goes without the server. Who wants none: "
    "session profile set --no-community-requests.",
    "reactions": "Are public, too. There are no receipts, no typing, and nothing disappears by itself.",
    "moderators": "Can delete what anybody wrote, and ban people; admins can also pin messages, and make moderators "
    "and admins, and whisper to people what only these are shown. None of them can change what you wrote, as it is "
    "signed; what has a wrong signature is not shown.",
    "its key": "Is in the URL of a room, and all by which the server is known: take URLs from those whom you trust.",
    "your other devices": "Join and leave the rooms that you join and leave.",
}
