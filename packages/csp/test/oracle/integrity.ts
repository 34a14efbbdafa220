/** Probes of `Integrity-Policy`: scripts and styles with and without integrity metadata, fetched with CORS or not. */
import { hash } from "./grammar.ts";
import { chain, type Kinds, type Make, scriptBody, tag } from "./probes.ts";
import type { Place } from "./question.ts";
import type { Random } from "./random.ts";

function external(name: "script" | "module" | "style", parsed: boolean): Make {
  return (site) => {
    const { id, random } = site;
    const type = name === "style" ? "style" : "script";
    const integrity = random.chance(0.6)
      ? `sha256-${hash(type === "script" ? scriptBody(id) : "", "sha256")}`
      : random.pick(["", "", "nonsense", "sha1-abc"]);
    const crossorigin = random.chance(0.5);
    // Without CORS only a response of the page's own origin can be checked.
    const own = integrity !== "" && !crossorigin && name !== "module";
    let { url, redirects } = chain(site, type, { own });
    if (own && redirects.length > 0) {
      url = redirects.at(-1) ?? url;
      redirects = [];
    }
    const mode = crossorigin || name === "module" ? "cors" : "no-cors";
    const attributes: [string, string][] = [["data-probe", id]];
    if (integrity) attributes.push(["integrity", integrity]);
    if (crossorigin) attributes.push(["crossorigin", ""]);
    if (name === "style") attributes.push(["rel", "stylesheet"], ["href", url]);
    else attributes.push(["src", url]);
    if (name === "module") attributes.push(["type", "module"]);
    const element = tag(name === "style" ? "link" : "script", attributes);
    const html = name === "style" ? element : `${element}</script>`;
    const init = {
      url,
      redirects,
      destination: type,
      integrity,
      parserInserted: parsed,
      mode,
    } as const;
    return {
      measure: type === "script" ? "done" : "hit",
      question: { type: "fetches", inits: [init] },
      ...(parsed ? { html } : { step: { id, op: name, url, integrity, crossorigin } }),
    };
  };
}

export const integrityKinds: Kinds = {
  "integrity script parsed": [3, external("script", true)],
  "integrity script inserted": [3, external("script", false)],
  "integrity module parsed": [2, external("module", true)],
  "integrity module inserted": [1, external("module", false)],
  "integrity style parsed": [2, external("style", true)],
  "integrity style inserted": [2, external("style", false)],
};

const headers = [
  "blocked-destinations=(script)",
  "blocked-destinations=(script style)",
  "blocked-destinations=(style), endpoints=(main)",
  "blocked-destinations=(script), sources=(inline)",
  "blocked-destinations=(script), sources=()",
  "blocked-destinations=(script), sources=(other)",
  "blocked-destinations=()",
  "blocked-destinations=(image script)",
  "blocked-destinations=script",
  'blocked-destinations=("script")',
  "blocked-destinations=(script;a=1 style),   sources=(inline);b",
  "blocked-destinations=(SCRIPT)",
  "blocked-destinations=(script",
  "blocked-destinations",
  "blocked-destinations=(script), blocked-destinations=(style)",
  "nonsense!",
] as const;

export function integrityHeaders(random: Random): NonNullable<Place["integrity"]> {
  return {
    enforce: random.pick(headers),
    ...(random.chance(0.3) ? { report: random.pick(headers) } : {}),
  };
}
