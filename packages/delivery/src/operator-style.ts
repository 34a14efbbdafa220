/** The style of the operator's page. */
export const STYLE = `
:root {
  color-scheme: light dark;
  --paper: light-dark(#f3f0ea, #15181a);
  --surface: light-dark(#fcfbf8, #1b1f22);
  --ink: light-dark(#20252a, #e9e6df);
  --ink-soft: light-dark(#5a5f63, #a5abae);
  --line: light-dark(#e2dcd1, #30363b);
  --accent: light-dark(#15605a, #7fcabd);
}
* { box-sizing: border-box; }
body {
  margin: 0;
  background: var(--paper);
  color: var(--ink);
  font: 1rem / 1.5 system-ui, sans-serif;
}
header, main { max-width: 44rem; margin: 0 auto; padding: 1.5rem; }
header {
  display: flex;
  flex-wrap: wrap;
  align-items: baseline;
  justify-content: space-between;
  gap: 0 1rem;
  padding-bottom: 0;
}
h1 { margin: 0; font-size: 1.375rem; }
h2 { margin: 0 0 0.5rem; font-size: 1.0625rem; }
a { color: var(--accent); }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
section {
  margin-bottom: 1.5rem;
  padding: 1.25rem;
  border: 1px solid var(--line);
  border-radius: 0.75rem;
  background: var(--surface);
}
p { margin: 0; color: var(--ink-soft); }
table { width: 100%; border-collapse: collapse; }
th, td { padding: 0.375rem 0; border-top: 1px solid var(--line); text-align: start; overflow-wrap: anywhere; }
tr:first-child > * { border-top: 0; }
th { padding-inline-end: 1rem; color: var(--ink-soft); font-weight: 400; }
td { text-align: end; font-variant-numeric: tabular-nums; }
`;
