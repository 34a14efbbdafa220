import { defaultServerConditions } from "vite";
import { defineConfig } from "vitest/config";

const conditions = ["@conclave/source", ...defaultServerConditions];

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    include: ["{packages,apps}/*/test/**/*.test.ts", "interop/test/**/*.test.ts"],
  },
});
