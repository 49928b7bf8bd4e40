"""How the page looks: light or dark as the browser likes it, on a phone as on a desk."""

STYLE = """
:root { color-scheme: light dark; --line: #8884; --faint: #8882; --bad: #d13438; --bar: #3b7dd8;
  --queue: #b8860b; --lock: #d2691e; --computing: #3b7dd8; --waiting: #7a5fd0; --application: #3b7dd8;
  --client: #2a9d8f; --other: #888; }
@media (prefers-color-scheme: dark) { :root { --bad: #ff7b7f; --bar: #6aa5f0; --queue: #e0b040;
  --lock: #f0935a; --computing: #6aa5f0; --waiting: #a893f0; --application: #6aa5f0; --client: #55c9ba; } }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 76rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.5rem; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
header p { margin: .25rem 0; overflow-wrap: anywhere; }
header p + p, footer, .faint { opacity: .75; }
dl { display: flex; flex-wrap: wrap; gap: .5rem; margin: 0; }
dl div { border: 1px solid var(--line); border-radius: .4rem; padding: .25rem .75rem; min-width: 6rem; }
dt { font-size: .85rem; opacity: .75; }
dd { margin: 0; font-size: 1.2rem; font-variant-numeric: tabular-nums; }
.scrolls { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid var(--line); }
th, td { text-align: right; white-space: nowrap; }
th { font-weight: 600; }
td.text, th.text { text-align: left; }
td.route { font-family: ui-monospace, monospace; white-space: normal; }
td.route { overflow-wrap: anywhere; min-width: 12rem; }
.bad { color: var(--bad); }
svg { display: block; width: 100%; }
svg.split { height: 1.4rem; border-radius: .3rem; }
td svg.split { height: .7rem; min-width: 5rem; }
svg.chart { height: 9rem; background: var(--faint); }
.requests { fill: var(--bar); } .errors { fill: var(--bad); }
.axis { display: flex; justify-content: space-between; font-size: .85rem; opacity: .75; }
ul.key { list-style: none; display: flex; flex-wrap: wrap; gap: .25rem 1rem; padding: 0; font-size: .9rem; }
ul.key svg { display: inline-block; width: .8em; height: .8em; }
.queue { fill: var(--queue); } .lock { fill: var(--lock); } .computing { fill: var(--computing); }
.waiting { fill: var(--waiting); } .application { fill: var(--application); } .client { fill: var(--client); }
.other { fill: var(--other); }
li { overflow-wrap: anywhere; }
"""
