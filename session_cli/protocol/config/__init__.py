"""Configuration messages: the state of an account that its devices share, and of a group that its members share.

Every device keeps a tree of values a config (`tree`), and a message that carries it (`message`): a sequence number, the
tree, what this message changed and what the last few before it changed (`diff`). Devices that change something at the
same time find out when they poll, and each makes the same merged message of what all of them wrote. A message is
compressed, padded and encrypted (`sealing`), of an account also wrapped like a message to oneself (`wrapping`), and
cut into parts if it is large (`multipart`).

`state.ConfigState` is one config on one device: what is merged into it and what has to be pushed. `user_profile`,
`contacts`, `convo_info_volatile`, `user_groups` and `local`, and for groups `group_info` and `group_members`, give the
trees their meaning: each is a view of a tree, whose `with_…` methods give a view of a changed tree. What they don't
know they leave as it is.

Nothing here changes in place, reads a clock or draws random numbers.
"""
