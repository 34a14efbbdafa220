/** The stylesheet and the icon of the operator's page. @module */

export const style = `
:root {
  color-scheme: light dark;
  --paper: light-dark(#f5f3ef, #14171a);
  --surface: light-dark(#fdfcfa, #1b1f23);
  --ink: light-dark(#1f2428, #e8e6e1);
  --soft: light-dark(#575d62, #a7adb2);
  --line: light-dark(#dfdad0, #32383e);
  --field: light-dark(#8a8578, #757d84);
  --accent: light-dark(#155e75, #7cc4dc);
  --on-accent: light-dark(#ffffff, #0b2029);
  --violations: light-dark(#c2410c, #fb923c);
  --impossible: light-dark(#6d4fc4, #b09bf0);
  --noise: light-dark(#94a3b0, #5f6f7c);
  --others: light-dark(#155e75, #7cc4dc);
}
* { box-sizing: border-box; }
body {
  margin: 0;
  background: var(--paper);
  color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif;
}
header, main { max-width: 76rem; margin: 0 auto; padding: 1.25rem 1.5rem; }
header {
  display: flex;
  flex-wrap: wrap;
  align-items: center;
  justify-content: space-between;
  gap: 0.5rem 1rem;
  padding-bottom: 0;
}
h1 { margin: 0; font-size: 1.375rem; overflow-wrap: anywhere; }
h2 { margin: 0 0 0.5rem; font-size: 1.0625rem; }
h3 { margin: 1rem 0 0.25rem; font-size: 1rem; }
p { margin: 0.5rem 0; }
a { color: var(--accent); }
.soft, figcaption, dt, .legend, th { color: var(--soft); }
section, form.card {
  margin-bottom: 1.25rem;
  padding: 1.25rem;
  border: 1px solid var(--line);
  border-radius: 0.75rem;
  background: var(--surface);
}
form.card { max-width: 30rem; }
.filters { display: flex; flex-wrap: wrap; gap: 0.75rem 1rem; align-items: end; }
.filters > div { flex: 1 1 9rem; min-width: 0; }
label { display: block; margin-bottom: 0.25rem; font-size: 0.875rem; font-weight: 600; }
input, select {
  width: 100%;
  min-height: 2.5rem;
  padding: 0.375rem 0.625rem;
  border: 1px solid var(--field);
  border-radius: 0.5rem;
  background: var(--paper);
  color: inherit;
  font: inherit;
}
button {
  min-height: 2.5rem;
  padding: 0.375rem 1rem;
  border: 1px solid var(--accent);
  border-radius: 0.5rem;
  background: var(--accent);
  color: var(--on-accent);
  font: inherit;
  font-weight: 600;
  cursor: pointer;
}
button.plain { border-color: var(--field); background: none; color: inherit; font-weight: 400; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
.error { color: var(--violations); font-weight: 600; }
.scroll { overflow-x: auto; }
table { width: 100%; border-collapse: collapse; font-size: 0.9375rem; }
th, td {
  padding: 0.5rem 1rem 0.5rem 0;
  border-bottom: 1px solid var(--line);
  text-align: start;
  vertical-align: top;
}
th { font-weight: 600; }
thead th { white-space: nowrap; }
tbody th { color: inherit; font-weight: 400; }
.number { text-align: end; font-variant-numeric: tabular-nums; white-space: nowrap; }
time { white-space: nowrap; font-variant-numeric: tabular-nums; }
code, .code {
  font-family: ui-monospace, monospace;
  font-size: 0.875rem;
  overflow-wrap: anywhere;
  unicode-bidi: isolate;
}
td .code, th .code { display: block; min-width: 10rem; max-width: 28rem; }
td .soft { display: block; min-width: 9rem; font-size: 0.875rem; }
pre {
  margin: 0.5rem 0;
  padding: 0.75rem;
  border: 1px solid var(--line);
  border-radius: 0.5rem;
  background: var(--paper);
  white-space: pre-wrap;
}
pre, pre code { overflow-wrap: anywhere; }
.tag {
  display: inline-block;
  padding: 0 0.5rem;
  border: 1px solid currentcolor;
  border-radius: 1rem;
  font-size: 0.875rem;
  white-space: nowrap;
}
.tag.violations { color: var(--violations); }
.tag.impossible { color: var(--impossible); }
.tag.noise, .tag.others { color: var(--soft); }
figure { margin: 0; }
.plot { display: flex; gap: 0.5rem; }
.plot svg { flex: 1; min-width: 0; height: 11rem; overflow: visible; }
.scale { display: flex; flex-direction: column; justify-content: space-between; min-width: 2rem; margin: -0.75em 0; text-align: end; }
.dates { display: flex; justify-content: space-between; margin: 0.5rem 0 0 2.5rem; }
.scale, .dates { color: var(--soft); font-size: 0.8125rem; font-variant-numeric: tabular-nums; }
.grid line { stroke: var(--line); vector-effect: non-scaling-stroke; }
rect.violations { fill: var(--violations); }
rect.impossible { fill: var(--impossible); }
rect.noise { fill: var(--noise); }
rect.others, .sparkline rect { fill: var(--others); }
.sparkline { display: block; width: 7.5rem; height: 1.5rem; }
.legend { display: flex; flex-wrap: wrap; gap: 0.25rem 1.25rem; margin: 0.5rem 0; padding: 0; list-style: none; }
.key { width: 0.75rem; height: 0.75rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0.25rem 1rem; margin: 0; }
dd { margin: 0; min-width: 0; overflow-wrap: anywhere; }
summary { cursor: pointer; }
nav ul { display: flex; gap: 1rem; margin: 0.75rem 0 0; padding: 0; list-style: none; }
.proposal { padding-bottom: 0.75rem; border-bottom: 1px solid var(--line); }
.proposal:last-child { padding-bottom: 0; border-bottom: 0; }
@media (max-width: 40rem) {
  header, main { padding: 1rem; }
  section, form.card { padding: 1rem; }
  dl { grid-template-columns: 1fr; }
  dt { margin-top: 0.5rem; }
  .dates span:nth-child(2), .dates span:nth-child(3) { display: none; }
}
`;

export const icon =
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><path fill="#c2410c" d="M1 9h3v6H1zM6 5h3v10H6zM11 1h3v14h-3z"/></svg>';
