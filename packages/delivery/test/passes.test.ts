import { expect, it } from "vitest";
import { createPasses } from "../src/passes.ts";

/** Passes that end one by one, by the test's word. */
function stage() {
  const under: PromiseWithResolvers<void>[] = [];
  const ask = createPasses(() => {
    const pass = Promise.withResolvers<void>();
    under.push(pass);
    return pass.promise;
  });
  const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  return { under, ask, settled };
}

it("what is asked for while a pass goes gets another, once", async () => {
  const { under, ask, settled } = stage();
  ask();
  expect(under).toHaveLength(1);
  for (let i = 0; i < 5; i++) ask();
  expect(under).toHaveLength(1);
  under[0]?.resolve();
  await settled();
  expect(under).toHaveLength(2);
  under[1]?.resolve();
  await settled();
  expect(under).toHaveLength(2);
  ask();
  expect(under).toHaveLength(3);
});

it("one that failed is over, and the next begins when it is asked for", async () => {
  const { under, ask, settled } = stage();
  ask();
  under[0]?.reject(new Error("the store"));
  await settled();
  expect(under).toHaveLength(1);
  ask();
  expect(under).toHaveLength(2);
});
