"""Routes: which application, folder, other server, address or text takes a request, by its host and path.

`table` is the table as a value, with the lookup in it, and in plain values for the exec. It needs none of the
others, which are for the command line: `keys` says what may stand in the tables of a file that make routes,
`kinds` and `hosts` read single values of theirs, `reading` makes the table of them. `request` is what
`portico routes` is asked about, `show` prints.
"""
