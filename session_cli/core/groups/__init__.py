"""Groups of up to 100: what one of our devices does in them, as a member or an admin.

What a group is made of lies in its own swarm: keys, and two configs that only admins can write (`state`). A poll takes
in what came (`receiving`, `intake`). What an admin decides is put into the store first, and brought to the swarm then,
now or by a later run (`administration`, `running`); invitations to us are taken in by `membership`. `groups` is what a
client offers.
"""
