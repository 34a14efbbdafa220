/**
 * The table of settings in the guide: made from the schema. `npm run docs:settings` writes it.
 * @module
 */

import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { orUsage } from "../../mls/conformance/command-line.ts";
import { settings } from "../src/config.ts";

export const GUIDE: URL = new URL("../../../docs/running-delivery.md", import.meta.url);
const LIMITS = new URL("../src/limits.ts", import.meta.url);
const PLACE = /(<!-- settings -->\n)[\s\S]*?(<!-- \/settings -->)/;

/** What `Limits` says of each, from its comments: they are the one place that does. */
async function limitsInWords(): Promise<ReadonlyMap<string, string>> {
  const source = await readFile(LIMITS, "utf8");
  const [, body = ""] = /export interface Limits \{([\s\S]*?)\n\}/.exec(source) ?? [];
  const found = new Map<string, string>();
  const entry = /(?:\/\*\*([\s\S]*?)\*\/\s*)?readonly (\w+)\??:/g;
  for (const [, comment = "", name = ""] of body.matchAll(entry)) {
    found.set(name, comment.replace(/\s*\n\s*\* ?/g, " ").trim());
  }
  return found;
}

export async function settingsTable(): Promise<string> {
  const limits = await limitsInWords();
  const rows = settings().map(({ key, variable, fallback, about, required }) => {
    const [section, name = "", part] = key.split(".");
    const parts: Readonly<Record<string, string>> = {
      burst: "So many at once.",
      perSecond: "So many a second in the long run.",
    };
    const limit = section === "limits" ? (limits.get(name) ?? "") : about;
    const words = part === undefined ? limit : `${limit} ${parts[part]}`;
    const value = required ? "*needed*" : fallback === undefined ? "" : `\`${fallback}\``;
    return `| \`${key}\` | \`${variable}\` | ${value} | ${words.replaceAll("|", "\\|")} |`;
  });
  return ["| Setting | Variable | By default | What it is |", "| --- | --- | --- | --- |", ...rows]
    .map((line) => `${line}\n`)
    .join("");
}

/** The guide with the table as it should be. */
export async function guideWithTable(guide: string): Promise<string> {
  const table = await settingsTable();
  return guide.replace(PLACE, (_, begin: string, end: string) => `${begin}\n${table}\n${end}`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  orUsage("npm run docs:settings", parseArgs);
  await writeFile(GUIDE, await guideWithTable(await readFile(GUIDE, "utf8")));
}
