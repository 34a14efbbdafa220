/**
 * How figures are shown.
 * @module
 */

export interface Figure {
  readonly what: string;
  readonly value: string;
}

/** Three digits that count. */
export function rounded(value: number): string {
  if (value >= 100) return String(Math.round(value));
  return value >= 10 ? value.toFixed(1) : value.toFixed(value >= 1 ? 2 : 3);
}

export function milliseconds(value: number): string {
  return value >= 10_000 ? `${rounded(value / 1000)} s` : `${rounded(value)} ms`;
}

export function kilobytes(bytes: number): string {
  return `${rounded(bytes / 1024)} KiB`;
}

/** A table in Markdown: the first column is text, the others numbers. Rows have the same keys. */
export function table(rows: readonly Readonly<Record<string, string>>[]): string {
  const columns = Object.keys(rows[0] ?? {});
  const widths = columns.map((column) =>
    Math.max(column.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  const line = (cells: readonly string[]): string => {
    const padded = cells.map((cell, at) =>
      at === 0 ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0),
    );
    return `| ${padded.join(" | ")} |`;
  };
  const rule = widths.map((width, at) =>
    at === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`,
  );
  return [
    line(columns),
    line(rule),
    ...rows.map((row) => line(columns.map((column) => row[column] ?? ""))),
  ].join("\n");
}
