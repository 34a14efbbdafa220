/**
 * Styles, embedded objects, workers, frames, the sandbox.
 * @module
 */
import { doesSourceListAllowAllInlineBehavior } from "../decide/match-element.ts";
import { chromium } from "../decide/profile.ts";
import { getExecutingDirective } from "../policy/fetch-directive.ts";
import { getDirective } from "../policy/policy.ts";
import type { SourceExpression } from "../policy/source-list.ts";
import { type Attack, fetchAttack } from "./attack.ts";
import type { FindingType } from "./finding.ts";
import {
  type Draft,
  type Judging,
  missing,
  quote,
  withDirectives,
  withoutAttack,
} from "./judging.ts";
import { attacker } from "./payload.ts";

const attacks = {
  style: fetchAttack(`${attacker}/style.css`, "style"),
  dataStyle: fetchAttack("data:text/css,", "style"),
  object: fetchAttack(`${attacker}/object`, "object"),
  worker: fetchAttack(`${attacker}/worker.js`, "worker"),
  dataWorker: fetchAttack("data:text/javascript,", "worker"),
  frame: fetchAttack(`${attacker}/`, "iframe"),
  dataFrame: fetchAttack("data:text/html,", "iframe"),
};

export function* judgeContent(judging: Judging): Generator<Draft> {
  yield* judgeStyles(judging);
  yield* judgeObjects(judging);
  yield* judgeWorkers(judging);
  yield* judgeFrames(judging);
  yield* judgeSandbox(judging);
}

/** Whether a source allows any host, and not only those that it names. */
export function isOpen(source: SourceExpression): boolean {
  if (source.type === "host-source") return source.hostPart === "*";
  return source.type === "scheme-source" && /^(?:https?|wss?)$/.test(source.schemePart);
}

function isDataOrOpen(source: SourceExpression): boolean {
  return isOpen(source) || (source.type === "scheme-source" && source.schemePart === "data");
}

function* judgeStyles(judging: Judging): Generator<Draft> {
  const { policy } = judging;
  const attack: Attack = { type: "inline", of: "style" };
  const directive = getExecutingDirective(policy, "style-src-elem");
  if (!directive) {
    yield missing(policy, "style-src", "'self'", {
      type: "missing-style-src",
      message: "No style is restricted: there is neither style-src nor default-src.",
      attack,
    });
    return;
  }
  const inline = doesSourceListAllowAllInlineBehavior(directive.value, "style", chromium);
  if (inline) {
    yield {
      type: "style-unsafe-inline",
      directive: directive.name,
      span: inline,
      message: `'unsafe-inline' in ${directive.name} lets injected styles in.`,
      mended: () => withoutAttack(judging, directive, "style-src", attack),
      attack,
    };
  }
  for (const source of directive.value) {
    if (!isDataOrOpen(source)) continue;
    const loading = isOpen(source) ? attacks.style : attacks.dataStyle;
    yield {
      type: "style-wildcard",
      directive: directive.name,
      span: source,
      message: `${quote(source.text)} in ${directive.name} lets the attacker's style sheets in.`,
      mended: () => withoutAttack(judging, directive, "style-src", loading),
      attack: loading,
    };
  }
}

function* judgeObjects(judging: Judging): Generator<Draft> {
  const { policy } = judging;
  const directive = getExecutingDirective(policy, "object-src");
  const none = () => withDirectives(policy, { "object-src": ["'none'"] });
  if (!directive) {
    yield missing(policy, "object-src", "'none'", {
      type: "missing-object-src",
      message: "No embedded object is restricted: there is neither object-src nor default-src.",
      attack: attacks.object,
    });
    return;
  }
  for (const source of directive.value) {
    if (source.type === "none" || source.type === "invalid") continue;
    const isScheme = source.type === "scheme-source";
    const isWildcard = source.type === "host-source" && source.hostPart === "*";
    // Hosts are looked at where they were meant for objects, not for everything.
    if (!isScheme && !isWildcard && directive.name !== "object-src") continue;
    const type: FindingType = isScheme
      ? "object-scheme"
      : isWildcard
        ? "object-wildcard"
        : "object-host";
    // What a scheme lets in that holds the attacker's text itself.
    const attack =
      isScheme && !isOpen(source)
        ? fetchAttack(`${source.schemePart}:text/html,`, "object")
        : attacks.object;
    yield {
      type,
      directive: directive.name,
      span: source,
      message: `${quote(source.text)} in ${directive.name} lets objects in.`,
      mended: none,
      ...(type === "object-host" ? {} : { attack }),
    };
  }
}

function* judgeWorkers(judging: Judging): Generator<Draft> {
  const directive = getExecutingDirective(judging.policy, "worker-src");
  // What scripts are allowed by is judged there.
  if (!directive || (directive.name !== "worker-src" && directive.name !== "child-src")) return;
  for (const source of directive.value) {
    const isLocal =
      source.type === "scheme-source" && /^(?:data|blob|filesystem)$/.test(source.schemePart);
    if (!isLocal && !isOpen(source)) continue;
    const attack = isLocal ? attacks.dataWorker : attacks.worker;
    const isData = isLocal && source.schemePart === "data";
    yield {
      type: "worker-open",
      severity: isLocal ? "low" : "medium",
      directive: directive.name,
      span: source,
      message: `${quote(source.text)} in ${directive.name} lets workers come from ${isLocal ? "text that a script puts together" : "every host"}.`,
      mended: () =>
        withDirectives(judging.policy, {
          [directive.name]: kept(directive.value, (other) => other !== source),
        }),
      ...(isLocal && !isData ? {} : { attack }),
    };
  }
}

function kept(
  value: readonly SourceExpression[],
  keep: (source: SourceExpression) => boolean,
): string[] {
  const texts = value.filter(keep).map(({ text }) => text);
  return texts.length > 0 ? texts : ["'none'"];
}

function* judgeFrames(judging: Judging): Generator<Draft> {
  const { policy } = judging;
  const directive = getExecutingDirective(policy, "frame-src");
  if (!directive) {
    yield missing(policy, "frame-src", "'self'", {
      type: "frame-open",
      message: "No frame is restricted: there is no frame-src, child-src or default-src.",
      attack: attacks.frame,
    });
    return;
  }
  for (const source of directive.value) {
    if (!isDataOrOpen(source)) continue;
    const attack = isOpen(source) ? attacks.frame : attacks.dataFrame;
    yield {
      type: "frame-open",
      directive: directive.name,
      span: source,
      message: `${quote(source.text)} in ${directive.name} lets the attacker's frames in.`,
      mended: () => withoutAttack(judging, directive, "frame-src", attack),
      attack,
    };
  }
}

function* judgeSandbox({ policy }: Judging): Generator<Draft> {
  const directive = getDirective(policy, "sandbox");
  if (!directive) return;
  const has = (keyword: string) =>
    directive.value.find((token) => token.type === "sandbox-keyword" && token.keyword === keyword);
  const sameOrigin = has("allow-same-origin");
  if (!has("allow-scripts") || !sameOrigin) return;
  const value = directive.value.filter((token) => token !== sameOrigin).map(({ text }) => text);
  yield {
    type: "sandbox-escapable",
    directive: "sandbox",
    span: sameOrigin,
    message: "allow-scripts and allow-same-origin together leave little of the sandbox.",
    mended: () => withDirectives(policy, { sandbox: value }),
  };
}
