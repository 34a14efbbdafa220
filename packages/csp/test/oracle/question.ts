/** What the engine is asked about a probe, and how it is asked. */
import {
  type Client,
  chromium,
  createRequest,
  type Decision,
  doesResponseAdhereToXFrameOptions,
  ensureCspDoesNotBlockStringCompilation,
  ensureCspDoesNotBlockWasmByteCompilation,
  type FetchInit,
  getCspDerivedSandboxingFlags,
  getTrustedTypeCompliantString,
  type InlineElement,
  inlineElement,
  inlineSource,
  isBaseAllowedForDocument,
  type Policy,
  type Profile,
  parseMetaPolicy,
  parsePolicyList,
  processIntegrityPolicy,
  type Request,
  redirect,
  type SandboxingFlag,
  shouldInlineBehaviorBeBlocked,
  shouldNavigationRequestBeBlocked,
  shouldNavigationResponseBeBlocked,
  shouldRequestBeBlocked,
  shouldRequestBeBlockedByIntegrityPolicy,
  shouldTrustedTypePolicyCreationBeBlocked,
  type TrustedTypeName,
  upgradeRequest,
} from "@conclave/csp";
import { join } from "../../src/decide/decision.ts";

/** A policy and how it comes to the page. */
export interface DeliveredPolicy {
  readonly delivery: "header" | "report-only header" | "meta";
  readonly text: string;
}

/** A document or worker, and the policies that it came with. */
export interface Place {
  readonly url: string;
  readonly policies: readonly DeliveredPolicy[];
  /** `Integrity-Policy` and `Integrity-Policy-Report-Only`. */
  readonly integrity?: { readonly enforce?: string; readonly report?: string };
}

/** The place as the engine has it. Policies of headers come first. */
export function clientOf({ url, policies }: Place, profile: Profile = chromium): Client {
  const shadowed = profile.has("not-ascii-shadows") ? withoutShadowed : (policy: Policy) => policy;
  const delivered = (delivery: DeliveredPolicy["delivery"]): readonly Policy[] =>
    policies
      .filter((policy) => policy.delivery === delivery)
      .flatMap(({ text }) => {
        if (delivery === "meta") return [shadowed(parseMetaPolicy(text))];
        // Headers carry bytes, which are read one to one.
        const bytes = Buffer.from(text).toString("latin1");
        const disposition = delivery === "header" ? "enforce" : "report";
        return parsePolicyList(bytes, disposition).map(shadowed);
      });
  const all = [...delivered("header"), ...delivered("report-only header"), ...delivered("meta")];
  return { url, cspList: { policies: all, selfOrigin: new URL(url).origin } };
}

/** Without directives that follow one of their name that is not ASCII (`not-ascii-shadows`). */
function withoutShadowed(policy: Policy): Policy {
  const shadows = policy.ignored.filter(({ reason }) => reason === "not-ascii");
  const isShadowed = ({ name, offset }: Policy["directiveSet"][number]): boolean =>
    shadows.some((other) => {
      const [word = ""] = other.text.split(/[ \t]/);
      return other.offset < offset && word.toLowerCase() === name;
    });
  const directiveSet = policy.directiveSet.filter((directive) => !isShadowed(directive));
  return { ...policy, directiveSet };
}

/** The headers that deliver the policies. */
export function headersOf({ policies, integrity = {} }: Place): string[] {
  const headers = policies.flatMap(({ delivery, text }) => {
    if (delivery === "meta") return [];
    const name =
      delivery === "header" ? "Content-Security-Policy" : "Content-Security-Policy-Report-Only";
    return [name, Buffer.from(text).toString("latin1")];
  });
  if (integrity.enforce) headers.push("Integrity-Policy", integrity.enforce);
  if (integrity.report) headers.push("Integrity-Policy-Report-Only", integrity.report);
  return headers;
}

/** What the engine is asked; plain values, so that a case can be printed. */
export type Question =
  | {
      readonly type: "fetches";
      readonly inits: readonly FetchInit[];
      /** Whether it is a preload, of whose redirects Chromium reports nothing (`preload-redirect-unreported`). */
      readonly preload?: boolean;
      /** Whether the parser may have preloaded it, to the same end where a policy only reports. */
      readonly scanned?: boolean;
    }
  | {
      readonly type: "inline";
      readonly inline: "script" | "script attribute" | "style" | "style attribute";
      readonly element: Partial<InlineElement>;
      readonly text: string;
    }
  | { readonly type: "javascript"; readonly url: string }
  | {
      readonly type: "compile";
      readonly compilationType: "DIRECT-EVAL" | "INDIRECT-EVAL" | "FUNCTION" | "TIMER";
      readonly text: string;
    }
  | { readonly type: "wasm" }
  | { readonly type: "cssom" }
  | { readonly type: "base"; readonly url: string }
  | { readonly type: "form"; readonly urls: readonly string[] }
  /** One after the other, the next where the one before was allowed: a frame and what it loads. */
  | { readonly type: "sequence"; readonly questions: readonly Question[] }
  /** Asked of another place than the page. */
  | { readonly type: "elsewhere"; readonly place: Place; readonly question: Question }
  | {
      readonly type: "framing";
      readonly place: Place;
      readonly xFrameOptions: readonly string[];
      readonly ancestors: readonly string[];
    }
  | { readonly type: "sandbox"; readonly place: Place; readonly needs: readonly SandboxingFlag[] }
  | {
      readonly type: "sink";
      readonly sink: string;
      readonly expectedType: TrustedTypeName;
      readonly input: string;
    }
  | {
      readonly type: "policy creation";
      readonly name: string;
      readonly created: readonly string[];
    };

/** The engine's answer. */
export async function decideQuestion(
  question: Question,
  place: Place,
  profile: Profile = chromium,
): Promise<Decision> {
  const client = clientOf(place, profile);
  switch (question.type) {
    case "fetches":
      return decideFetches(question, place, client, profile);
    case "inline": {
      const { inline, element, text } = question;
      const source = await inlineSource(text);
      return shouldInlineBehaviorBeBlocked(inlineElement(element), inline, source, client, profile);
    }
    case "javascript":
      return shouldNavigationRequestBeBlocked(
        createRequest({ url: question.url, destination: "document", mode: "navigate" }, profile),
        "other",
        client,
        { profile },
      );
    case "compile": {
      const { compilationType, text } = question;
      return ensureCspDoesNotBlockStringCompilation(
        { compilationType, codeString: text },
        client,
        profile,
      );
    }
    case "wasm":
      return ensureCspDoesNotBlockWasmByteCompilation(client);
    case "cssom":
      return allow;
    case "base":
      return isBaseAllowedForDocument(question.url, client, profile);
    case "form":
      return decideForm(question.urls, client, profile);
    case "sequence": {
      let decision = allow;
      for (const next of question.questions) {
        if (decision.result === "Blocked") break;
        decision = join(decision, await decideQuestion(next, place, profile));
      }
      return decision;
    }
    case "elsewhere":
      return decideQuestion(question.question, question.place, profile);
    case "framing": {
      const { place: framed, xFrameOptions, ancestors } = question;
      const response = { url: framed.url, cspList: clientOf(framed, profile).cspList, ancestors };
      const decision = shouldNavigationResponseBeBlocked(response, profile);
      const adheres = doesResponseAdhereToXFrameOptions(xFrameOptions, response);
      // No page hears of these violations.
      return { ...decision, violations: [], result: adheres ? decision.result : "Blocked" };
    }
    case "sandbox": {
      const flags = getCspDerivedSandboxingFlags(clientOf(question.place, profile).cspList);
      const isBlocked = question.needs.some((flag) => flags.has(flag));
      return { ...allow, result: isBlocked ? "Blocked" : "Allowed" };
    }
    case "sink": {
      const { sink, expectedType, input } = question;
      return getTrustedTypeCompliantString({ sink, expectedType, input }, client, profile).decision;
    }
    case "policy creation":
      return shouldTrustedTypePolicyCreationBeBlocked(
        question.name,
        question.created,
        client,
        profile,
      );
  }
}

const allow: Decision = { result: "Allowed", outcomes: [], violations: [] };

/** Fetches one after the other, each judged by the page's integrity policy, too. */
function decideFetches(
  { inits, preload }: Extract<Question, { type: "fetches" }>,
  { integrity = {} }: Place,
  client: Client,
  profile: Profile,
): Decision {
  const integrityPolicies = {
    url: client.url,
    ...(integrity.enforce
      ? { integrityPolicy: processIntegrityPolicy(integrity.enforce, profile) }
      : {}),
    ...(integrity.report
      ? { reportOnlyIntegrityPolicy: processIntegrityPolicy(integrity.report, profile) }
      : {}),
  };
  let decision = allow;
  for (const init of inits) {
    let request = createRequest(init, profile);
    const first = decideRequest(request, client, profile);
    decision = join(decision, first);
    for (const to of init.redirects ?? []) {
      if (decision.result === "Blocked") break;
      request = redirect(upgrade(request, client, profile), to, profile);
      decision = join(decision, decideRequest(request, client, profile));
    }
    if (preload && profile.has("preload-redirect-unreported"))
      decision = { ...decision, violations: first.violations };
    const { result } = shouldRequestBeBlockedByIntegrityPolicy(request, integrityPolicies);
    if (result === "Blocked") decision = { ...decision, result };
    if (decision.result === "Blocked") break;
  }
  return decision;
}

/** The request after "upgrade a request to a potentially trustworthy URL, if appropriate". */
function upgrade(request: Request, { cspList }: Client, profile: Profile): Request {
  const { url: first, currentUrl: url, destination } = request;
  const isRedirected = request.redirectCount > 0;
  const currentUrl = upgradeRequest({ url, destination, isRedirected }, cspList, profile);
  if (currentUrl === url) return request;
  return { ...request, currentUrl, url: first === url ? currentUrl : first };
}

/** Fetch, "main fetch": policies that only report see the URL before it is upgraded, the others after. */
function decideRequest(request: Request, client: Client, profile: Profile): Decision {
  const upgraded = upgrade(request, client, profile);
  if (upgraded === request || !profile.has("asked-before-upgrade")) {
    return shouldRequestBeBlocked(upgraded, client, profile);
  }
  const under = (disposition: "enforce" | "report"): Client => {
    const policies = client.cspList.policies.filter((policy) => policy.disposition === disposition);
    return { ...client, cspList: { ...client.cspList, policies } };
  };
  return join(
    shouldRequestBeBlocked(request, under("report"), profile),
    shouldRequestBeBlocked(upgraded, under("enforce"), profile),
  );
}

/**
 * A form's submission into a frame: `form-action` and `frame-src` are asked about each URL. Chromium asks the second
 * even where the first has blocked (`form-asks-both`).
 */
async function decideForm(
  urls: readonly string[],
  client: Client,
  profile: Profile,
): Promise<Decision> {
  const [url = "", ...redirects] = urls;
  let request = createRequest({ url, destination: "iframe", mode: "navigate" }, profile);
  const ask = async (): Promise<Decision> => {
    const options = { profile };
    const action = await shouldNavigationRequestBeBlocked(
      request,
      "form-submission",
      client,
      options,
    );
    if (action.result === "Blocked" && !profile.has("form-asks-both")) return action;
    const framing = decideRequest(request, client, profile);
    return join(action, framing);
  };
  let decision = await ask();
  for (const to of redirects) {
    if (decision.result === "Blocked") break;
    request = redirect(upgrade(request, client, profile), to, profile);
    decision = join(decision, await ask());
  }
  return decision;
}

/** The scheme that the last fetch of a question ends up with. */
export function fetchedScheme(
  question: Question,
  place: Place,
  profile: Profile = chromium,
): string | undefined {
  switch (question.type) {
    case "sequence": {
      const last = question.questions.at(-1);
      return last && fetchedScheme(last, place, profile);
    }
    case "elsewhere":
      return fetchedScheme(question.question, question.place, profile);
    case "form":
    case "fetches": {
      const last = question.type === "form" ? null : question.inits.at(-1);
      const urls =
        question.type === "form" ? question.urls : [last?.url, ...(last?.redirects ?? [])];
      const url = new URL(urls.at(-1) ?? "about:blank");
      const destination = last?.destination ?? "";
      const isRedirected = urls.length > 1;
      const { cspList } = clientOf(place, profile);
      return upgradeRequest({ url, destination, isRedirected }, cspList, profile).protocol;
    }
    case "inline":
    case "javascript":
    case "compile":
    case "wasm":
    case "cssom":
    case "base":
    case "framing":
    case "sandbox":
    case "sink":
    case "policy creation":
      return undefined;
  }
}
