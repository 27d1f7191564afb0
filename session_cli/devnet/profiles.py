"""Ready-made plans of faults, in the format of the files that users write."""

PROFILES = {
    "half-gone": """
        # Half of the nodes can't be reached, and the other half notices.
        random_seed = 1

        [[fault]]
        kind = "dead"
        how = "unreachable"
        nodes = "50%"
    """,
    "hostile": """
        # A third of the nodes lie about everything, and spoil what passes through their hands.
        random_seed = 1

        [[fault]]
        kind = "lying_signatures"
        nodes = "33%"

        [[fault]]
        kind = "forgets"
        nodes = "33%"

        [[fault]]
        kind = "wrong_swarm"
        shows = "other"
        nodes = "33%"
        probability = 0.3

        [[fault]]
        kind = "nonsense"
        what = "shape"
        nodes = "33%"
        probability = 0.2

        [[fault]]
        kind = "altered_list"
        add = 12
        nodes = "33%"

        [[fault]]
        kind = "blame"
        node = 0
        nodes = "33%"
        probability = 0.2

        [[fault]]
        kind = "garble"
        nodes = "33%"
        probability = 0.2

        [[fault]]
        kind = "truncate"
        nodes = "33%"
        probability = 0.2
    """,
    "lossy": """
        # A tenth of what is asked is lost on the way, and of that a third when it is done already.
        random_seed = 1

        [[fault]]
        kind = "drop"
        how = "close"
        roles = ["guard"]
        probability = 0.04

        [[fault]]
        kind = "drop"
        how = "hang"
        roles = ["guard"]
        probability = 0.03

        [[fault]]
        kind = "drop"
        after = true
        roles = ["guard"]
        probability = 0.03

        [[fault]]
        kind = "drop"
        seed = true
        file_server = true
        community = true
        probability = 0.1
    """,
    "outage": """
        # Everything is fine for ten seconds; then nobody can be reached for ten more.
        [[fault]]
        kind = "dead"
        at = 10
        for = 10
        nodes = "100%"
        seed = true
        file_server = true
        community = true
    """,
    "skewed": """
        # Half of the clocks are wrong. The smaller share is part of the larger: its clocks are an hour ahead.
        random_seed = 1

        [[fault]]
        kind = "clock"
        seconds = -120
        nodes = "50%"

        [[fault]]
        kind = "clock"
        seconds = 3720
        nodes = "25%"
    """,
    "slow": """
        # Every hop takes 100 to 400 ms.
        random_seed = 1

        [[fault]]
        kind = "delay"
        seconds = 0.1
        jitter = 0.3
    """,
    "storm": """
        # Guards, hops and destinations refuse a good part of what they are asked.
        random_seed = 1

        [[fault]]
        kind = "status"
        code = 503
        roles = ["guard"]
        probability = 0.1

        [[fault]]
        kind = "status"
        code = 429
        roles = ["guard"]
        probability = 0.1

        [[fault]]
        kind = "status"
        code = 502
        roles = ["middle"]
        probability = 0.05

        [[fault]]
        kind = "inner_status"
        code = 500
        probability = 0.1

        [[fault]]
        kind = "status"
        code = 500
        seed = true
        file_server = true
        community = true
        probability = 0.2
    """,
}
"""TOML by name."""
