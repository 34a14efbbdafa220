/**
 * Policies in the words of servers that send a site's files.
 * @module
 */
import { CspError } from "../errors.ts";
import { type Policy, parsePolicy, serializePolicy } from "../policy/policy.ts";

export const configurationFormats = [
  "nginx",
  "apache",
  "caddy",
  "netlify",
  "cloudflare",
  "json",
] as const;
export type ConfigurationFormat = (typeof configurationFormats)[number];

/** A page and its policy. */
interface PagePolicy {
  /** From the site's root, without a slash in front: `blog/index.html`. */
  readonly path: string;
  readonly policy: Pick<Policy, "text">;
}

export interface ServerConfigurationOptions {
  /** Sends the policy to be watched, not enforced. */
  readonly reportOnly?: boolean;
  /** The path under which the root is served. Default `/`. */
  readonly basePath?: string;
}

export interface ServerConfiguration {
  /** The file's usual name. */
  readonly name: string;
  readonly text: string;
  /** What the server, or one on the way, may not take. */
  readonly warnings: readonly string[];
}

/** A policy and the paths that have it. */
interface Rule {
  readonly paths: readonly string[];
  readonly policy: string;
}

/**
 * The file that makes a server send each page its policy. Where all pages have the same, so has every other path, error
 * pages included. Throws `CspError` for a path that the format cannot name.
 */
export function serverConfiguration(
  format: ConfigurationFormat,
  pages: readonly PagePolicy[],
  options: ServerConfigurationOptions = {},
): ServerConfiguration {
  const header = options.reportOnly
    ? "Content-Security-Policy-Report-Only"
    : "Content-Security-Policy";
  const base = options.basePath ?? "/";
  const byPolicy = new Map<string, string[]>();
  for (const { path, policy } of pages) {
    // White space may be a line's end in the text, and would end a line of the file.
    const text = serializePolicy(parsePolicy(policy.text));
    const paths = byPolicy.get(text) ?? [];
    byPolicy.set(text, [...paths, ...pathsOf(path, base)]);
  }
  const rules = Array.from(byPolicy, ([policy, paths]): Rule => ({ policy, paths }));
  const [only, ...others] = rules;
  const everywhere = only && others.length === 0 ? only.policy : null;
  return {
    name: fileNames[format],
    text: writers[format]({ header, rules, everywhere, base }),
    warnings: warningsFor(format, rules, everywhere),
  };
}

interface Writing {
  readonly header: string;
  readonly rules: readonly Rule[];
  /** The one policy of all pages. */
  readonly everywhere: string | null;
  readonly base: string;
}

const fileNames: Readonly<Record<ConfigurationFormat, string>> = {
  nginx: "csp.conf",
  apache: ".htaccess",
  caddy: "Caddyfile",
  netlify: "_headers",
  cloudflare: "_headers",
  json: "headers.json",
};

const writers: Readonly<Record<ConfigurationFormat, (writing: Writing) => string>> = {
  nginx({ header, rules, everywhere }) {
    const send = (value: string) =>
      `# in server {} or location {}; one that has an add_header of its own needs it again\nadd_header ${header} ${value} always;\n`;
    // A variable cannot be written as text, and sourceFor leaves no `$` in paths.
    if (everywhere !== null) return send(quoted(everywhere));
    const cases = rules.flatMap(({ paths, policy }) =>
      paths.map((path) => `  ${quoted(decodeURIComponent(path))} ${quoted(policy)};\n`),
    );
    return `# in http {}\nmap $uri $content_security_policy {\n  default "";\n${cases.join("")}}\n${send("$content_security_policy")}`;
  },
  apache({ header, rules, everywhere }) {
    // `%` begins a format.
    const set = (policy: string) =>
      `Header always set ${header} ${quoted(policy.replaceAll("%", "%%"))}\n`;
    if (everywhere !== null) return set(everywhere);
    return rules
      .map(({ paths, policy }) => {
        const list = paths.map(apacheWord).join(", ");
        return `<If "%{REQUEST_URI} in { ${list} }">\n  ${set(policy)}</If>\n`;
      })
      .join("");
  },
  caddy({ header, rules, everywhere }) {
    if (everywhere !== null) return `header ${header} ${caddyString(everywhere)}\n`;
    return rules
      .map(({ paths, policy }, index) => {
        const name = `@csp${index + 1}`;
        const list = paths.map((path) => caddyString(caddyPath(path))).join(" ");
        return `${name} path ${list}\nheader ${name} ${header} ${caddyString(policy)}\n`;
      })
      .join("");
  },
  netlify: headersFile,
  cloudflare: headersFile,
  json({ header, rules, everywhere, base }) {
    const list =
      everywhere === null
        ? rules.map(({ paths, policy }) => ({ paths, header, value: policy }))
        : [{ paths: [`${base}*`], header, value: everywhere }];
    return `${JSON.stringify(list, null, 2)}\n`;
  },
};

/** Netlify's and Cloudflare Pages' `_headers`. */
function headersFile({ header, rules, everywhere, base }: Writing): string {
  if (everywhere !== null) return `${base}*\n  ${header}: ${everywhere}\n`;
  return rules
    .flatMap(({ paths, policy }) =>
      paths.map((path) => `${headersPath(path)}\n  ${header}: ${policy}\n`),
    )
    .join("");
}

/** A path in which nothing stands for any other. */
function headersPath(path: string): string {
  const text = decodeURIComponent(path);
  if (!/[*:]/.test(text)) return path;
  throw new CspError("invalid-value", `_headers cannot name the path ${JSON.stringify(text)}`);
}

/** The paths under which servers show a file. */
function pathsOf(path: string, base: string): string[] {
  const url = base + path.split("/").map(encodeURIComponent).join("/");
  if (/(?:^|\/)index\.html?$/i.test(url)) return [url.slice(0, url.lastIndexOf("/") + 1), url];
  return [url, url.replace(/\.html?$/i, "")];
}

/** As nginx, Apache and Caddy read it. */
function quoted(text: string): string {
  return `"${text.replace(/["\\]/g, "\\$&")}"`;
}

/**
 * A path as a word of an expression, in a line. What would end either, or begin a variable, is refused: an expression has
 * no way to write it.
 */
function apacheWord(path: string): string {
  const text = decodeURIComponent(path);
  if (!/[\p{Cc}"\\]|%\{/u.test(text)) return `'${text.replaceAll("'", "\\'")}'`;
  throw new CspError("invalid-value", `Apache cannot be told of the path ${JSON.stringify(text)}`);
}

/** A path that Caddy takes for itself: not for a pattern, a placeholder or escaped. */
function caddyPath(path: string): string {
  const text = decodeURIComponent(path);
  if (!/[\p{Cc}*?[\]\\{}%]/u.test(text)) return text;
  throw new CspError("invalid-value", `Caddy cannot be told of the path ${JSON.stringify(text)}`);
}

function caddyString(text: string): string {
  return text.includes("`") ? quoted(text) : `\`${text}\``;
}

/** What is known of limits, in bytes: policies are ASCII. */
const lineLimit: Readonly<Partial<Record<ConfigurationFormat, number>>> = { cloudflare: 2_000 };
const ruleLimit: Readonly<Partial<Record<ConfigurationFormat, number>>> = { cloudflare: 100 };
/** nginx reads the whole head of a proxied response into one page (`proxy_buffer_size`). */
const proxyLimit = 4_096;

function warningsFor(
  format: ConfigurationFormat,
  rules: readonly Rule[],
  everywhere: string | null,
): string[] {
  const warnings: string[] = [];
  const longest = Math.max(0, ...rules.map(({ policy }) => policy.length));
  const limit = lineLimit[format];
  if (limit !== undefined && longest > limit) {
    warnings.push(`the longest policy has ${longest} bytes, ${format} takes lines of ${limit}`);
  }
  if (longest > proxyLimit) {
    warnings.push(
      `the longest policy has ${longest} bytes; proxies refuse a response head of more than ${proxyLimit} unless told otherwise`,
    );
  }
  const count = everywhere === null ? rules.flatMap(({ paths }) => paths).length : 1;
  const most = ruleLimit[format];
  if (most !== undefined && count > most) {
    warnings.push(`${count} rules, ${format} takes ${most}; one policy for the site needs one`);
  }
  if (format === "apache" && everywhere === null && rules.length > 0) {
    warnings.push("needs Apache 2.4 for <If>, and mod_headers");
  }
  return warnings;
}
