/** A device in a process of its own, that writes and says what was taken, until it is killed. */

import { createClient } from "../src/index.ts";
import { nodeCrypto, openProfile } from "../src/node/index.ts";

const [origin = "", file = "", conversationId = "", run = ""] = process.argv.slice(2);
const client = await createClient({
  ...openProfile(file),
  crypto: nodeCrypto,
  service: { origin },
  timing: { receipt: 5, retry: [10, 100] },
});
for (let i = 0; ; i++) {
  const text = `run ${run}, message ${i}`;
  await client.sendText(conversationId, text, text);
  process.stdout.write(`${text}\n`);
  if (i % 4 === 3) await new Promise((resolve) => setTimeout(resolve, 20));
}
