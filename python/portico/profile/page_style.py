"""How the page of a profile looks: light or dark as the browser likes it, on a phone as on a desk."""

STYLE = """
:root { color-scheme: light dark; --line: #8886; --cpu: #f0a35e; --waiting: #8fb4ea; --lock: #e58a9b;
  --ink: #1a1a1a; --found: #b832d8; }
@media (prefers-color-scheme: dark) { :root { --cpu: #a8611f; --waiting: #2f5f9e; --lock: #9c3f52;
  --ink: #f4f4f4; --found: #c65de0; } }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.4rem; margin: 0; overflow-wrap: anywhere; }
header p { margin: .2rem 0; overflow-wrap: anywhere; }
.remark, footer { opacity: .8; font-size: .9rem; }
form { display: flex; flex-wrap: wrap; gap: .5rem 1rem; align-items: center; margin: .75rem 0; }
select { max-width: 60vw; }
fieldset { display: flex; flex-wrap: wrap; gap: .25rem 1rem; border: 1px solid var(--line);
  border-radius: .4rem; padding: .1rem .6rem; margin: 0; }
.swatch { display: inline-block; width: .8em; height: .8em; margin: 0 .3em; border-radius: .15em; }
.cpu { background: var(--cpu); } .waiting { background: var(--waiting); } .lock { background: var(--lock); }
#graph { position: relative; width: 100%; min-height: 3rem; overflow: hidden; outline-offset: 4px; }
.box { position: absolute; height: 21px; overflow: hidden; white-space: nowrap; text-overflow: ellipsis;
  font: 12px/19px ui-monospace, monospace; padding: 0 3px; border: 1px solid Canvas; border-radius: 3px;
  color: var(--ink); cursor: pointer; }
.box.above { opacity: .55; }
.box.found { outline: 2px solid var(--found); outline-offset: -2px; }
.box:hover { filter: brightness(1.12); }
.box.at { box-shadow: inset 0 0 0 2px var(--ink); }
#detail { min-height: 3em; font: 14px/1.5 ui-monospace, monospace; overflow-wrap: anywhere; }
"""
