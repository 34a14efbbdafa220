/**
 * The operator's page: groups, their counts over time, what could be done about them. Made on the server, with no
 * script at all; whatever a report said is text.
 * @module
 */
import type { Severity } from "../judge/finding.ts";
import type { PlausibilityReason } from "../report/plausibility.ts";
import { securityHeaders } from "../serve/security-headers.ts";
import {
  chart,
  firstBar,
  number,
  type Period,
  periods,
  type Series,
  sparkline,
  toBars,
  utc,
} from "./chart.ts";
import { type Handler, readText } from "./endpoint.ts";
import type { GroupClass } from "./group.ts";
import { type Html, html } from "./html.ts";
import { icon, style } from "./page-style.ts";
import { type Proposal, proposeChanges } from "./proposal.ts";
import type {
  GroupDetails,
  GroupFilter,
  ListedGroup,
  ReportGroup,
  ReportSample,
  ReportStore,
} from "./report-store.ts";
import { createSignIn } from "./sign-in.ts";

export interface PageOptions {
  readonly store: ReportStore;
  /** At least 16 characters. */
  readonly token: string;
  /** Milliseconds since the Unix epoch. */
  readonly now?: () => number;
}

/** Groups on one page. */
const LISTED = 50;
const MAX_FORM = 4_096;

const headers = securityHeaders(
  {
    policy: {
      "default-src": ["'none'"],
      "style-src": ["'self'"],
      "img-src": ["'self'"],
      "form-action": ["'self'"],
      "base-uri": ["'none'"],
      "frame-ancestors": ["'none'"],
      "require-trusted-types-for": ["'script'"],
      "trusted-types": ["'none'"],
    },
  },
  "",
);

/** What the page shows together, by the name in its address. */
const kinds = {
  violations: { name: "Violations", classes: ["violation", "overflow"] },
  impossible: { name: "Impossible reports", classes: ["impossible"] },
  noise: { name: "Noise", classes: ["extension", "browser", "injected", "elsewhere"] },
  inventory: { name: "Hashes of scripts", classes: ["inventory"] },
  all: { name: "Everything", classes: undefined },
} as const satisfies Readonly<
  Record<string, { readonly name: string; readonly classes: readonly GroupClass[] | undefined }>
>;

const orders = { count: "Most reports", "last-seen": "Last seen", "first-seen": "Newest" } as const;

const classNames: Readonly<Record<GroupClass, readonly [name: string, kind: Series["kind"]]>> = {
  violation: ["violation", "violations"],
  impossible: ["impossible", "impossible"],
  extension: ["extension", "noise"],
  browser: ["browser", "noise"],
  injected: ["injected", "noise"],
  elsewhere: ["elsewhere", "noise"],
  inventory: ["hash", "others"],
  overflow: ["overflow", "others"],
};

/**
 * Serves the page on an origin of its own, at `/`. With `Accept: application/json` the list and a group are JSON.
 * Throws `TypeError` for a token that is too short.
 */
export function createPage({ store, token, now = Date.now }: PageOptions): Handler {
  const signIn = createSignIn(token, now);

  return async (request, { address } = { address: "" }) => {
    const url = new URL(request.url);
    const route = `${request.method === "HEAD" ? "GET" : request.method} ${url.pathname}`;
    switch (route) {
      case "GET /style.css":
        return file("text/css; charset=utf-8", style);
      case "GET /icon.svg":
        return file("image/svg+xml", icon);
      case "POST /sign-in": {
        if (isFromElsewhere(request)) return page(403, message("That came from another site."));
        const form = new URLSearchParams(await readText(request, MAX_FORM));
        const started = signIn.start(form.get("token")?.trim() ?? "", address);
        if (started === "wrong") return page(401, signInForm("This token is not the right one."));
        if (started === "too-often")
          return page(429, signInForm("Too many attempts. Wait a minute."));
        return redirect("/", started.cookie);
      }
    }
    if (!signIn.isKnown(request)) {
      return page(401, signInForm(""), { "WWW-Authenticate": "Bearer" });
    }
    if (request.method === "POST") {
      if (isFromElsewhere(request)) return page(403, message("That came from another site."));
      if (url.pathname === "/sign-out") return redirect("/", signIn.end(request));
      const id = groupIn(url.pathname, "/forget");
      if (id === undefined) return page(404, message("There is nothing here."));
      store.forget(id);
      return redirect("/");
    }
    if (route === "GET /") return list(url, request);
    const details = route.startsWith("GET ")
      ? store.details(groupIn(url.pathname, "") ?? 0)
      : undefined;
    if (details) return group(details, request);
    return page(404, message("There is nothing here. Perhaps it was forgotten."));
  };

  function list(url: URL, request: Request): Response {
    const asked = readQuery(url.searchParams);
    const since = firstBar(asked.period, now());
    const filter: GroupFilter = {
      ...asked.filter,
      since,
      limit: LISTED,
      offset: asked.page * LISTED,
    };
    const groups = store.groups(filter);
    if (wantsJson(request)) return json({ since, size: store.size(filter), groups });
    const totals = store.totals(since);
    const series = (["violations", "impossible", "noise"] as const).map((kind): Series => {
      const counts = totals.filter((total) => classNames[total.class][1] === kind);
      return { kind, name: kind, bars: toBars(counts, asked.period, now()) };
    });
    const refusals = store.refusals(since);
    return page(
      200,
      layout(
        "Reports",
        true,
        html`<section aria-labelledby="overview"><h2 id="overview">All reports, ${asked.period.name}</h2>
${chart(series, asked.period, now())}
${
  refusals.length > 0
    ? html`<p class="soft">Refused requests: ${refusals.map(
        ({ reason, count }, i) => html`${i > 0 ? ", " : ""}${reason} ${number(count)}`,
      )}.</p>`
    : undefined
}</section>
${filters(asked, store)}
<section aria-labelledby="groups"><h2 id="groups">${asked.kind.name}: ${groupsOf(store.size(filter))}</h2>
${groups.length > 0 ? table(groups, asked.period) : html`<p class="soft">None in this time.</p>`}
${pager(url, asked.page, store.size(filter))}</section>`,
      ),
    );
  }

  function table(groups: readonly ListedGroup[], period: Period): Html {
    const since = firstBar(period, now());
    return html`<div class="scroll" tabindex="0" role="region" aria-label="Table of groups"><table>
<thead><tr><th scope="col" class="number">Reports</th><th scope="col">What was blocked, by which directive</th><th scope="col">Where</th><th scope="col">Class</th><th scope="col">Over time</th><th scope="col">First and last seen (UTC)</th></tr></thead>
<tbody>${groups.map(
      (group) => html`<tr>
<td class="number">${number(group.recent)}</td>
<th scope="row"><a class="code" href="/groups/${group.id}">${title(group)}</a><span class="code soft">${group.directive}</span></th>
<td><span class="code">${group.site}${group.document}</span></td>
<td>${tag(group)}<span class="soft">${reasonOf(group)}</span></td>
<td>${sparkline(toBars(store.counts(group.id, since), period, now()))}</td>
<td><time>${utc(group.firstSeen)}</time><br><time>${utc(group.lastSeen)}</time></td></tr>`,
    )}</tbody></table></div>`;
  }

  async function group(details: GroupDetails, request: Request): Promise<Response> {
    const { group, samples, agents } = details;
    const period = periods.month;
    const proposals = await proposalsFor(details);
    const counts = store.counts(group.id, firstBar(period, now()));
    if (wantsJson(request)) return json({ ...details, counts, proposals });
    const [name, kind] = classNames[group.class];
    const bars = toBars(counts, period, now());
    return page(
      200,
      layout(
        title(group),
        true,
        html`<p><a href="/">All groups</a></p>
<section aria-labelledby="facts"><h2 id="facts">What it is</h2><dl>
<dt>Class</dt><dd>${tag(group)} ${explanation(group)}</dd>
${group.evidence ? html`<dt>Evidence</dt><dd><span class="code">${group.evidence}</span></dd>` : undefined}
<dt>Directive</dt><dd><span class="code">${group.directive}</span></dd>
<dt>Blocked</dt><dd><span class="code">${group.blocked}</span></dd>
${group.detail ? html`<dt>Detail</dt><dd><span class="code">${group.detail}</span></dd>` : undefined}
<dt>Where</dt><dd><span class="code">${group.site}${group.document}</span></dd>
<dt>Reports</dt><dd>${number(group.count)}, of which ${number(group.enforced)} were enforced</dd>
<dt>Seen</dt><dd><time>${utc(group.firstSeen)}</time> to <time>${utc(group.lastSeen)}</time> UTC</dd>
<dt>Browsers</dt><dd>${agents.map(({ agent, count }, i) => html`${i > 0 ? ", " : ""}${agent} ${number(count)}`)}</dd>
</dl></section>
<section aria-labelledby="time"><h2 id="time">The last ${period.name}</h2>
${chart([{ name, kind, bars }], period, now())}</section>
${proposals.length > 0 ? proposalSection(proposals) : undefined}
${samples.length > 0 ? sampleSection(samples) : undefined}
<form method="post" action="/groups/${group.id}/forget"><button class="plain">Forget this group</button></form>`,
      ),
    );
  }
}

async function proposalsFor({ group, samples }: GroupDetails): Promise<readonly Proposal[]> {
  const [sample] = samples;
  if (group.class !== "violation" || group.type !== "csp-violation" || !sample) return [];
  return proposeChanges({
    ...sample,
    effectiveDirective: group.directive,
    originalPolicy: sample.policy,
  });
}

function proposalSection(proposals: readonly Proposal[]): Html {
  return html`<section aria-labelledby="proposals"><h2 id="proposals">What could be done</h2>
<p class="soft">If this is yours. If it is not, the policy has done its work.</p>
${proposals.map(
  ({ advice, change, alsoAllows }) => html`<div class="proposal"><h3>${advice}</h3>
${
  change
    ? html`<pre tabindex="0"><code>${change.policy}</code></pre>
<p class="soft">${change.confirmed ? "The engine confirms: under this policy the report would not occur." : "The engine cannot confirm this from the report alone."}</p>`
    : undefined
}
${alsoAllows.length > 0 ? html`<p>It also allows:</p><ul>${alsoAllows.map((what) => html`<li>${what}</li>`)}</ul>` : undefined}
${change?.findings === null ? html`<p class="soft">The policy is too long to be judged here.</p>` : undefined}
${(change?.findings ?? []).map(
  ({ severity, message }) =>
    html`<p class="${severity === "low" ? "soft" : "error"}">${severityWords[severity]}: ${message}</p>`,
)}</div>`,
)}</section>`;
}

const severityWords: Readonly<Record<Severity, string>> = {
  high: "Severe",
  medium: "Weak",
  low: "Mind",
  info: "Note",
};

function sampleSection(samples: readonly ReportSample[]): Html {
  const policies = [...new Set(samples.map(({ policy }) => policy))].filter((text) => text !== "");
  return html`<section aria-labelledby="samples"><h2 id="samples">Reports, the most recent different ones</h2>
<div class="scroll" tabindex="0" role="region" aria-label="Table of reports"><table>
<thead><tr><th scope="col">Document</th><th scope="col">Blocked</th><th scope="col">Code</th><th scope="col">Source</th><th scope="col">Disposition</th><th scope="col" class="number">Reports</th><th scope="col">Last seen (UTC)</th></tr></thead>
<tbody>${samples.map(
    (sample) => html`<tr>
<td><span class="code">${sample.documentURL}</span></td>
<td><span class="code">${sample.blockedURL}</span></td>
<td><span class="code">${sample.sample}</span></td>
<td><span class="code">${sample.sourceFile ? `${sample.sourceFile}:${sample.lineNumber}:${sample.columnNumber}` : ""}</span></td>
<td>${sample.disposition}</td>
<td class="number">${number(sample.count)}</td>
<td><time>${utc(sample.lastSeen)}</time></td></tr>`,
  )}</tbody></table></div>
${policies.length > 0 ? html`<h3>Policies they name</h3>` : undefined}
${policies.map((text) => html`<pre tabindex="0"><code>${text}</code></pre>`)}</section>`;
}

function groupsOf(count: number): string {
  return `${number(count)} ${count === 1 ? "group" : "groups"}`;
}

function title({ type, class: groupClass, blocked, detail }: ReportGroup): string {
  if (groupClass === "overflow") return "Reports of kinds that came too many at a time";
  if (detail === "") return blocked || "(not said)";
  return type === "csp-violation" ? `${blocked}: ${detail}` : `${blocked}${detail}`;
}

function tag({ class: groupClass }: ReportGroup): Html {
  const [name, kind] = classNames[groupClass];
  return html`<span class="tag ${kind}">${name}</span>`;
}

/** Why reports are impossible, in words. */
const contradictions: Readonly<Record<string, string>> = {
  allowed: "The policy that it names allows this",
  "no-directive": "The policy that it names has no such directive",
  "unknown-directive": "No specification has this directive",
  "wrong-resource": "This directive does not govern this",
} satisfies Partial<Record<PlausibilityReason, string>>;

function reasonOf({ class: groupClass, reason }: ReportGroup): string {
  return groupClass === "impossible" ? (contradictions[reason] ?? reason) : reason;
}

function explanation(group: ReportGroup): string {
  switch (group.class) {
    case "violation":
      return "To be looked at.";
    case "impossible":
      return `${reasonOf(group)}. It was forged, or made by an extension that changes policies.`;
    case "inventory":
      return "Not blocked: the hash of a script that was loaded.";
    case "extension":
    case "browser":
    case "injected":
    case "elsewhere":
    case "overflow":
      return `${group.reason}.`;
  }
}

interface Asked {
  readonly period: Period;
  readonly periodName: string;
  readonly kind: (typeof kinds)[keyof typeof kinds];
  readonly kindName: string;
  readonly filter: GroupFilter;
  readonly page: number;
}

/** What the address asks for; what it asks wrongly has its default. */
function readQuery(query: URLSearchParams): Asked {
  const periodName = nameIn(periods, query.get("period")) ?? "week";
  const kindName = nameIn(kinds, query.get("show")) ?? "violations";
  const order = nameIn(orders, query.get("order")) ?? "count";
  const { classes } = kinds[kindName];
  const [directive, site, text] = ["directive", "site", "text"].map(
    (name) => query.get(name) ?? "",
  );
  const page = Number(query.get("page"));
  return {
    period: periods[periodName],
    periodName,
    kind: kinds[kindName],
    kindName,
    filter: {
      order,
      ...(classes ? { classes } : {}),
      ...(directive ? { directive } : {}),
      ...(site ? { site } : {}),
      ...(text ? { text } : {}),
    },
    page: Number.isSafeInteger(page) && page > 0 ? Math.min(page, 1_000) : 0,
  };
}

function nameIn<T extends object>(table: T, name: string | null): keyof T | undefined {
  // An object literal of ours, whose own keys are all it has.
  return name !== null && Object.hasOwn(table, name) ? (name as keyof T) : undefined;
}

function filters(asked: Asked, store: ReportStore): Html {
  const { filter } = asked;
  const choices = (values: readonly string[]) =>
    [["", "Any"], ...values.map((v) => [v, v])] as const;
  return html`<section aria-labelledby="filter"><h2 id="filter">Filter</h2>
<form class="filters" method="get" action="/">
${select("show", "Show", entriesOf(kinds), asked.kindName)}
${select("period", "Time", entriesOf(periods), asked.periodName)}
${select("directive", "Directive", choices(store.directives()), filter.directive ?? "")}
${select("site", "Site", choices(store.sites()), filter.site ?? "")}
${select("order", "Order", Object.entries(orders), filter.order ?? "count")}
<div><label for="text">Text</label><input id="text" name="text" type="search" value="${filter.text ?? ""}" maxlength="100"></div>
<button>Show</button></form></section>`;
}

function entriesOf(
  table: Readonly<Record<string, { readonly name: string }>>,
): readonly (readonly [string, string])[] {
  return Object.entries(table).map(([key, { name }]) => [key, name]);
}

function select(
  name: string,
  label: string,
  options: readonly (readonly string[])[],
  selected: string,
): Html {
  const list = options.map(([value = "", text = ""]) =>
    value === selected
      ? html`<option value="${value}" selected>${text || "(none)"}</option>`
      : html`<option value="${value}">${text || "(none)"}</option>`,
  );
  return html`<div><label for="${name}">${label}</label><select id="${name}" name="${name}">${list}</select></div>`;
}

function pager(url: URL, current: number, size: number): Html | undefined {
  if (size <= LISTED) return undefined;
  const to = (page: number) => {
    const query = new URLSearchParams(url.searchParams);
    query.set("page", String(page));
    return `/?${query}`;
  };
  return html`<nav aria-label="Pages"><ul>
${current > 0 ? html`<li><a href="${to(current - 1)}">Previous</a></li>` : undefined}
<li>Page ${current + 1} of ${Math.ceil(size / LISTED)}</li>
${(current + 1) * LISTED < size ? html`<li><a href="${to(current + 1)}">Next</a></li>` : undefined}</ul></nav>`;
}

function signInForm(error: string): Html {
  return layout(
    "Sign in",
    false,
    html`<form class="card" method="post" action="/sign-in">
<p>The token is the one that the collector was started with.</p>
${error ? html`<p class="error" role="alert">${error}</p>` : undefined}
<p><label for="token">Token</label><input id="token" name="token" type="password" autocomplete="current-password" required autofocus></p>
<button>Sign in</button></form>`,
  );
}

function message(text: string): Html {
  return layout("Reports", false, html`<p>${text}</p><p><a href="/">All groups</a></p>`);
}

function layout(heading: string, signedIn: boolean, content: Html): Html {
  return html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${heading} · CSP reports</title><link rel="icon" href="/icon.svg"><link rel="stylesheet" href="/style.css"></head>
<body><header><h1>${heading}</h1>${
    signedIn
      ? html`<form method="post" action="/sign-out"><button class="plain">Sign out</button></form>`
      : undefined
  }</header>
<main>${content}</main></body></html>`;
}

function page(status: number, content: Html, more: HeadersInit = {}): Response {
  return respond(status, "text/html; charset=utf-8", content.markup, more);
}

function json(value: unknown): Response {
  return respond(200, "application/json", JSON.stringify(value));
}

function file(type: string, text: string): Response {
  return respond(200, type, text);
}

function redirect(to: string, cookie?: string): Response {
  const more = new Headers({ Location: to });
  if (cookie !== undefined) more.set("Set-Cookie", cookie);
  return respond(303, "text/plain", "", more);
}

function respond(status: number, type: string, body: string, more: HeadersInit = {}): Response {
  const response = new Response(body, { status, headers: more });
  for (const [name, value] of headers) response.headers.set(name, value);
  response.headers.set("Content-Type", type);
  response.headers.set("Cache-Control", "no-store");
  return response;
}

/** Browsers say where a request comes from; what says nothing is no browser with a cookie of somebody else. */
function isFromElsewhere(request: Request): boolean {
  const site = request.headers.get("Sec-Fetch-Site") ?? "same-origin";
  return site !== "same-origin" && site !== "none";
}

function wantsJson(request: Request): boolean {
  return /^application\/json\b/.test(request.headers.get("Accept") ?? "");
}

/** The number in `/groups/7` with that after it. */
function groupIn(path: string, after: string): number | undefined {
  const [, id, rest] = /^\/groups\/([0-9]{1,15})(\/forget)?$/.exec(path) ?? [];
  return id !== undefined && (rest ?? "") === after ? Number(id) : undefined;
}
