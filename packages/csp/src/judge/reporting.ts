/**
 * Trusted Types and reporting.
 * @module
 */
import { getDirective } from "../policy/policy.ts";
import { type Draft, type Judging, quote, spanOf, withDirectives } from "./judging.ts";

export function* judgeTrustedTypes({ policy }: Judging): Generator<Draft> {
  const required = getDirective(policy, "require-trusted-types-for");
  const isRequired = required?.value.some(({ type }) => type === "script") ?? false;
  const list = getDirective(policy, "trusted-types");
  const require = () => withDirectives(policy, { "require-trusted-types-for": ["'script'"] });
  if (!isRequired) {
    yield {
      type: "trusted-types-missing",
      directive: "require-trusted-types-for",
      span: required ?? spanOf(policy),
      absent: !required,
      attack: { type: "sink" },
      message: "require-trusted-types-for 'script' is missing.",
      mended: require,
    };
  }
  if (isRequired && !list) {
    yield {
      type: "trusted-types-unlisted",
      directive: "trusted-types",
      span: required ?? spanOf(policy),
      absent: true,
      message: "Trusted Types are required, and every script may make policies.",
      mended: () => withDirectives(policy, { "trusted-types": ["'none'"] }),
    };
  }
  if (!list) return;
  if (!isRequired) {
    const message = "trusted-types limits policies that no sink asks for.";
    yield {
      type: "trusted-types-not-required",
      directive: "trusted-types",
      span: list,
      message,
      mended: require,
    };
  }
  for (const token of list.value) {
    const others = list.value.filter((other) => other !== token).map(({ text }) => text);
    const mended = () =>
      withDirectives(policy, {
        "trusted-types": others.length > 0 ? others : ["'none'"],
      });
    const at = { directive: "trusted-types", span: token, mended } as const;
    if (token.type === "wildcard") {
      yield {
        type: "trusted-types-any",
        ...at,
        message: "* lets scripts make policies of any name.",
      };
    }
    if (token.type === "policy-name" && token.text === "default") {
      yield { type: "trusted-types-default", ...at, message: "A policy named default is allowed." };
    }
    if (token.type === "allow-duplicates") {
      const message = "'allow-duplicates' lets scripts make a second policy of a name.";
      yield { type: "trusted-types-duplicates", ...at, message };
    }
  }
}

export function* judgeReporting({ policy, context }: Judging): Generator<Draft> {
  const reportUri = getDirective(policy, "report-uri");
  const reportTo = getDirective(policy, "report-to");
  const hasUri = (reportUri?.value.length ?? 0) > 0;
  const endpoint = reportTo?.value[0];
  if (!hasUri && !endpoint) {
    const isReportOnly = policy.disposition === "report";
    yield {
      type: isReportOnly ? "report-only-without-destination" : "report-destination-missing",
      directive: "report-uri",
      span: reportUri ?? reportTo ?? spanOf(policy),
      message: isReportOnly
        ? "The policy only reports, and names nobody to report to."
        : "There is neither report-uri nor report-to.",
    };
    return;
  }
  if (!reportTo || !endpoint) return;
  if (!hasUri && policy.source === "header") {
    const message = "There is no report-uri for browsers without the Reporting API.";
    yield { type: "report-to-only", directive: "report-to", span: reportTo, message };
  }
  const { reportingEndpoints } = context;
  if (reportingEndpoints && !reportingEndpoints.includes(endpoint.text)) {
    const message = `No endpoint is named ${quote(endpoint.text)}.`;
    yield { type: "report-to-undeclared", directive: "report-to", span: endpoint, message };
  }
}
