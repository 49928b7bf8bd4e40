"""What a framework knows of a request and a server cannot see: its route, for the access log and the metrics.

Each module is for one framework, and is imported by the application that uses it. They leave a text in
`environ["portico.route"]` and change nothing else, so they are harmless under any other server.
"""

ROUTE = "portico.route"
"""The variable of the environ: the rule that a URL was found by, such as `/order/<int:number>`."""
