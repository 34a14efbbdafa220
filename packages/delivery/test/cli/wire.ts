/**
 * What stands between a command and a PostgreSQL, and holds what they say.
 * @module
 */

import { once } from "node:events";
import { mkdtemp } from "node:fs/promises";
import { createConnection, createServer } from "node:net";
import { join } from "node:path";

/** `hold`: it goes no further; `answered`: its answer doesn't; `cut`: the connection ends. */
type Fate = "pass" | "hold" | "answered" | "cut";
/** What becomes of what a client says, by what it said before on that connection. */
export type Meeting = (text: string, before: string) => Fate;

/** Where this is said. */
export function where(words: string): Meeting {
  return (text) => (text.includes(words) ? "hold" : "pass");
}

/** Where the transaction of all tables ends. */
export function endOf(fate: Fate): Meeting {
  return (text, before) =>
    text.includes("COMMIT") && before.includes("LOCK TABLE accounts") ? fate : "pass";
}

export async function wireTo(
  url: string,
  at: Meeting,
  /** Where the PostgreSQL has its socket, and where another may be made. */
  { socket, folder }: { readonly socket: string; readonly folder: string },
): Promise<{
  readonly url: string;
  /** Once something didn't pass. */
  readonly met: Promise<void>;
  /** All passes from now on. */
  readonly open: () => void;
  readonly close: () => void;
}> {
  const met = Promise.withResolvers<void>();
  let meeting = at;
  const server = createServer((from) => {
    const to = createConnection(join(socket, ".s.PGSQL.5432"));
    let before = "";
    let fate: Fate = "pass";
    from.on("data", (data: Buffer) => {
      const text = data.toString("latin1");
      if (fate === "pass") fate = meeting(text, before);
      before += text;
      if (fate === "pass") return to.write(data);
      if (fate === "answered") to.write(data);
      else met.resolve();
      return fate === "cut" && from.destroy();
    });
    to.on("data", (data) => {
      if (fate === "answered") met.resolve();
      else from.write(data);
    });
    from.on("close", () => to.destroy());
    from.on("error", () => to.destroy());
    to.on("error", () => from.destroy());
    to.on("close", () => from.destroy());
  });
  const between = await mkdtemp(join(folder, "wire-"));
  await once(server.listen(join(between, ".s.PGSQL.5432")), "listening");
  return {
    url: url.replace(encodeURIComponent(socket), encodeURIComponent(between)),
    met: met.promise,
    open: () => {
      meeting = () => "pass";
    },
    close: () => server.close(),
  };
}
