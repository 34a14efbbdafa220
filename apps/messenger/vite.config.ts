/**
 * The page's build: one script for the page, one for the worker, one style sheet, one icon. So the
 * policy has one hash to list, and a reader of the bundle one file to read.
 */
import { createHash } from "node:crypto";
import { fileURLToPath } from "node:url";
import { defaultClientConditions, defineConfig, type Plugin } from "vite";

export default defineConfig({
  root: import.meta.dirname,
  publicDir: false,
  resolve: { conditions: ["@conclave/source", ...defaultClientConditions] },
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  plugins: [integrity()],
  worker: { format: "es", rolldownOptions: { output: { codeSplitting: false } } },
  build: {
    outDir: fileURLToPath(new URL("dist/page", import.meta.url)),
    emptyOutDir: true,
    target: "es2024",
    assetsInlineLimit: 0,
    cssCodeSplit: false,
    modulePreload: false,
    rolldownOptions: { output: { codeSplitting: false } },
  },
});

/** Writes the digest of each script and style sheet into the document that loads it. */
function integrity(): Plugin {
  return {
    name: "integrity",
    enforce: "post",
    generateBundle: {
      order: "post",
      handler(_options, bundle) {
        for (const document of Object.values(bundle)) {
          if (document.type !== "asset" || !document.fileName.endsWith(".html")) continue;
          document.source = document.source
            .toString()
            .replaceAll(/(src|href)="\/(assets\/[^"]+\.(?:js|css))"/g, (attribute, _name, file) => {
              const output = bundle[file];
              if (output === undefined) throw new Error(`${file} is not in the bundle`);
              const content = output.type === "chunk" ? output.code : output.source;
              const digest = createHash("sha384").update(content).digest("base64");
              return `${attribute} integrity="sha384-${digest}"`;
            });
        }
      },
    },
  };
}
