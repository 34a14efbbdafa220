/**
 * Which known bypasses a source lets in, and the URL that an attacker would use.
 * @module
 */
import { doesUrlMatchExpression } from "../decide/match-url.ts";
import { chromium } from "../decide/profile.ts";
import type { HostSource } from "../policy/source-list.ts";
import { type BypassHost, bypassHosts } from "./hosts.ts";

/** A known host that a source matches, with a URL on it. */
export interface Bypass {
  readonly known: BypassHost;
  readonly url: URL;
}

const byHost = Map.groupBy(bypassHosts, ({ host }) => host);

/**
 * The known hosts that a source lets in. `redirected` asks as after a redirect, when paths don't count.
 */
export function findBypasses(source: HostSource, selfOrigin: string, redirected = false): Bypass[] {
  const matching = {
    selfOrigin,
    redirectCount: redirected ? 1 : 0,
    profile: chromium,
  };
  const found: Bypass[] = [];
  for (const known of candidates(source.hostPart)) {
    for (const url of attackUrls(known, redirected ? "" : source.pathPart)) {
      if (!doesUrlMatchExpression(url, source, matching)) continue;
      found.push({ known, url });
      break;
    }
  }
  return found;
}

/** Those whose host may match: the host itself, or what a wildcard covers. */
function candidates(hostPart: string): readonly BypassHost[] {
  if (hostPart.startsWith("*.")) return below.get(hostPart.slice(2)) ?? [];
  return (byHost.get(hostPart) ?? []).filter((known) => known.class !== "names");
}

/** What a wildcard for a name covers; of hosts that give names also the host itself. */
const below: ReadonlyMap<string, readonly BypassHost[]> = indexByParent();

function indexByParent(): Map<string, BypassHost[]> {
  const index = new Map<string, BypassHost[]>();
  for (const known of bypassHosts) {
    const labels = known.host.split(".");
    for (let from = known.class === "names" ? 0 : 1; from < labels.length; from++) {
      const parent = labels.slice(from).join(".");
      index.set(parent, [...(index.get(parent) ?? []), known]);
    }
  }
  return index;
}

/** URLs on the host that an attacker would try; `path` is what the source restricts them to. */
function attackUrls(known: BypassHost, path: string): readonly URL[] {
  const cached = path === "" ? anywhere.get(known) : undefined;
  if (cached) return cached;
  const urls = known.paths.flatMap((place) =>
    attackPaths(known, place, path).map((file) => {
      const host = known.class === "names" ? `attacker.${known.host}` : known.host;
      return new URL(`https://${host}${file}`);
    }),
  );
  if (path === "") anywhere.set(known, urls);
  return urls;
}

/** The URLs of those that no path restricts. */
const anywhere = new Map<BypassHost, readonly URL[]>();

function attackPaths(known: BypassHost, place: string, path: string): string[] {
  switch (known.class) {
    case "jsonp":
    case "jsonp-method":
    case "eval":
    case "redirect":
      return [place];
    case "gadget": {
      if (!place.endsWith("/")) return [place];
      const any = `${place}1.8.3/angular.min.js`;
      // The source may name one file of the library, or the folder of one version.
      const isDeeper = path.startsWith(place) && path.length > place.length;
      return isDeeper ? [fileIn(path, "angular.min.js"), any] : [any];
    }
    case "uploads":
      return [fileIn(place, "attacker-package/ran.js")];
    case "folders":
      return [fileIn(place, "attacker/ran.js")];
    case "names":
      return [fileIn(path === "" ? "/" : path, "ran.js")];
  }
}

/** A file in a folder; a path that is a file stays. */
export function fileIn(path: string, file: string): string {
  return path.endsWith("/") ? path + file : path;
}
