"""This host among others, behind load balancers that send requests to all of them; `[cluster]`.

`standing.py` is how this host stands, and `../saturation.py` how much it does. `agent.py` tells HAProxy's
agent-check both. `member.py` is this host in one HAProxy, which it adds itself to and leaves, by
`conversation.py`; `servers.py` reads what that says. `cluster.py` is the supervisor's duty that has them all.

Imported only where a setting of `[cluster]` asks for it: what is here would be in every worker's memory.
"""
