/** `node scripts/install.js`: the dependencies, and nothing else. */

import { install, main } from "./setup.js";

await main(async () => {
  await install();
  return 0;
});
