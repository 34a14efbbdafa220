/**
 * Counts over time as pictures: SVG made on the server, of numbers alone.
 * @module
 */
import { type Html, html } from "./html.ts";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

/** A stretch of time that the page shows. */
export interface Period {
  readonly name: string;
  readonly length: number;
  /** How long one bar is. */
  readonly step: number;
}

export const periods: Readonly<Record<"day" | "week" | "month" | "quarter", Period>> = {
  day: { name: "24 hours", length: DAY, step: HOUR },
  week: { name: "7 days", length: 7 * DAY, step: 6 * HOUR },
  month: { name: "30 days", length: 30 * DAY, step: DAY },
  quarter: { name: "90 days", length: 90 * DAY, step: DAY },
};

/** Counts of one kind, one for each bar. */
export interface Series {
  readonly name: string;
  /** The stylesheet has a colour for it. */
  readonly kind: "violations" | "impossible" | "noise" | "others";
  readonly bars: readonly number[];
}

/** When the first bar begins, so that the last one has `now` in it. */
export function firstBar({ length, step }: Period, now: number): number {
  return now - (now % step) + step - length;
}

/** Adds counts up into bars. */
export function toBars(
  counts: readonly { readonly start: number; readonly count: number }[],
  period: Period,
  now: number,
): number[] {
  const first = firstBar(period, now);
  const bars = Array.from({ length: Math.round(period.length / period.step) }, () => 0);
  for (const { start, count } of counts) {
    const index = Math.floor((start - first) / period.step);
    const held = bars[index];
    if (held !== undefined) bars[index] = held + count;
  }
  return bars;
}

/**
 * Stacked bars with a legend, and the numbers as a table for those who want to read them. The picture stretches to
 * the width there is; what is written stands around it, so that it keeps its size.
 */
export function chart(series: readonly Series[], period: Period, now: number): Html {
  const first = firstBar(period, now);
  const length = series[0]?.bars.length ?? 0;
  const sums = Array.from({ length }, (_, i) =>
    series.reduce((sum, { bars }) => sum + (bars[i] ?? 0), 0),
  );
  const top = niceTop(Math.max(0, ...sums));
  const startOf = (i: number) => first + i * period.step;

  const columns = sums.map((sum, i) => {
    if (sum === 0) return undefined;
    let below = 0;
    const parts = series.map(({ kind, bars }) => {
      const height = ((bars[i] ?? 0) / top) * 100;
      if (height === 0) return undefined;
      below += height;
      return html`<rect class="${kind}" x="${round(i + 0.08)}" y="${round(100 - below)}" width="0.84" height="${round(height)}" />`;
    });
    const words = series.map(({ name, bars }) => `${bars[i] ?? 0} ${name}`).join(", ");
    return html`<g><title>${utc(startOf(i))}: ${words}</title>${parts}</g>`;
  });
  const lines = [0, 50, 100].map((y) => html`<line x1="0" x2="${length}" y1="${y}" y2="${y}" />`);
  const dates = [0, 1 / 3, 2 / 3].map((part) => label(first + part * period.length, period));
  const summary = series.map(({ name, bars }) => `${number(sumOf(bars))} ${name}`).join(", ");

  return html`<figure class="chart">
<div class="plot"><div class="scale" aria-hidden="true"><span>${short(top)}</span><span>${short(top / 2)}</span><span>0</span></div>
<svg viewBox="0 0 ${length} 100" preserveAspectRatio="none" role="img" aria-label="Reports in ${period.name}: ${summary}.">
<g class="grid">${lines}</g>${columns}</svg></div>
<div class="dates" aria-hidden="true">${dates.map((date) => html`<span>${date}</span>`)}<span>now</span></div>
<figcaption>
<ul class="legend">${series.map(
    ({ kind, name, bars }) =>
      html`<li><svg class="key" viewBox="0 0 10 10" aria-hidden="true"><rect class="${kind}" width="10" height="10" /></svg> ${name} <b>${number(sumOf(bars))}</b></li>`,
  )}</ul>
<details><summary>Numbers</summary>
<div class="scroll" tabindex="0" role="region" aria-label="Numbers of the chart">
<table><thead><tr><th scope="col">From (UTC)</th>${series.map(
    ({ name }) => html`<th scope="col" class="number">${name}</th>`,
  )}</tr></thead>
<tbody>${sums.map((sum, i) =>
    sum === 0
      ? undefined
      : html`<tr><th scope="row">${utc(startOf(i))}</th>${series.map(
          ({ bars }) => html`<td class="number">${number(bars[i] ?? 0)}</td>`,
        )}</tr>`,
  )}</tbody></table></div></details>
</figcaption>
</figure>`;
}

/** A line of bars beside a number. It says nothing that the row does not, so readers of the screen are spared it. */
export function sparkline(bars: readonly number[]): Html {
  const top = Math.max(1, ...bars);
  const width = 120 / Math.max(1, bars.length);
  const columns = bars.map((count, i) => {
    if (count === 0) return undefined;
    const height = Math.max(1, (count / top) * 24);
    return html`<rect x="${round(i * width)}" y="${round(24 - height)}" width="${round(Math.max(1, width - 1))}" height="${round(height)}" />`;
  });
  return html`<svg class="sparkline" viewBox="0 0 120 24" aria-hidden="true">${columns}</svg>`;
}

/** A time for people: to the minute, in UTC. */
export function utc(at: number): string {
  return new Date(at).toISOString().slice(0, 16).replace("T", " ");
}

function label(at: number, { step }: Period): string {
  const text = utc(at);
  return step < DAY ? text.slice(5) : text.slice(0, 10);
}

/** A round number that is even and not below `count`. */
function niceTop(count: number): number {
  if (count <= 2) return 2;
  const power = 10 ** Math.floor(Math.log10(count));
  return [1, 2, 4, 6, 8, 10].map((n) => n * power).find((n) => n >= count && n % 2 === 0) ?? count;
}

/** With separators between thousands. */
export function number(count: number): string {
  return count.toLocaleString("en");
}

function short(count: number): string {
  return new Intl.NumberFormat("en", { notation: "compact" }).format(count);
}

function sumOf(bars: readonly number[]): number {
  return bars.reduce((sum, count) => sum + count, 0);
}

function round(n: number): string {
  return String(Math.round(n * 100) / 100);
}
