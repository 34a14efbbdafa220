import { readFile } from "node:fs/promises";
import { expect, it } from "vitest";
import { GUIDE, guideWithTable } from "./settings-table.ts";

it("the guide lists every setting as the schema has it (npm run docs:settings)", async () => {
  const guide = await readFile(GUIDE, "utf8");
  expect(guide).toContain("| `publicOrigin` | `CONCLAVE_PUBLIC_ORIGIN` | *needed* |");
  expect(guide).toBe(await guideWithTable(guide));
});
