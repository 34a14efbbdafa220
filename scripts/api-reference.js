/**
 * `npm run docs:api`: the API reference of `@conclave/mls`, from its docstrings, into `docs/api`. Fails where an exported thing
 * has no docstring or a link leads nowhere. Typedoc has a folder of its own, since it needs an older TypeScript than ours.
 */

import { join } from "node:path";
import { main, root, run } from "./setup.js";

await main(async () => {
  const cwd = join(root, "tools", "api-reference");
  const installed = await run("npm", ["ci", "--no-audit", "--no-fund"], { cwd });
  if (installed !== 0) return installed;
  return run(join(cwd, "node_modules", ".bin", "typedoc"), [], { cwd });
});
