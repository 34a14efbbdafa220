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
  const exact = byHost.get(hostPart) ?? [];
  if (!hostPart.startsWith("*.")) return exact.filter((known) => known.class !== "names");
  const suffix = hostPart.slice(2);
  return bypassHosts.filter((known) =>
    known.class === "names"
      ? known.host === suffix || known.host.endsWith(`.${suffix}`)
      : known.host.endsWith(hostPart.slice(1)),
  );
}

/** URLs on the host that an attacker would try; `path` is what the source restricts them to. */
function attackUrls(known: BypassHost, path: string): URL[] {
  return known.paths.flatMap((place) =>
    attackPaths(known, place, path).map((file) => {
      const host = known.class === "names" ? `attacker.${known.host}` : known.host;
      return new URL(`https://${host}${file}`);
    }),
  );
}

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
