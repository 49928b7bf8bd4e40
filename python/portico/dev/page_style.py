"""How the page of an exception looks: light or dark, as the browser likes it."""

STYLE = """
:root { color-scheme: light dark; --line: #8884; --mark: #e5484d33; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 0 auto; padding: 1rem; }
header { border-bottom: 4px solid #e5484d; }
header p, .relation, footer { opacity: .75; }
h1 { font-size: 1.5rem; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; overflow-wrap: anywhere; }
pre { font: 14px/1.5 ui-monospace, monospace; border: 1px solid var(--line); }
pre { overflow-x: auto; padding: .5rem; }
pre span, pre mark { display: inline-block; min-width: 100%; color: inherit; }
mark { background: var(--mark); }
i { opacity: .5; font-style: normal; user-select: none; }
summary { cursor: pointer; overflow-wrap: anywhere; }
details { margin: .5rem 0; }
td { vertical-align: top; padding-right: 1rem; overflow-wrap: anywhere; }
"""
