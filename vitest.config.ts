import { defaultServerConditions } from "vite";
import { defineConfig } from "vitest/config";

const conditions = ["@conclave/source", ...defaultServerConditions];

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    // A machine that is busy with other things is slow, not wrong.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    include: ["{packages,apps}/*/test/**/*.test.ts", "interop/test/**/*.test.ts"],
  },
});
