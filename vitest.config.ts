import { defaultServerConditions } from "vite";
import { defineConfig } from "vitest/config";

const conditions = ["@conclave/source", ...defaultServerConditions];

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    // A machine that is busy with other things is slow, not wrong.
    testTimeout: 180_000,
    hookTimeout: 180_000,
    expect: { poll: { timeout: 30_000 } },
    include: ["{packages,apps}/*/test/**/*.test.ts", "interop/test/**/*.test.ts"],
  },
});
