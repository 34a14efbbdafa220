/** Probes of Trusted Types: strings on their way into sinks, and the making of policies. */
import type { TrustedTypeName } from "@conclave/csp";
import type { Kinds, Make } from "./probes.ts";
import type { DeliveredPolicy, Question } from "./question.ts";
import type { Random } from "./random.ts";

/** Each sink with its type; the driver knows how to reach it. */
const sinks: readonly (readonly [op: string, sink: string, type: TrustedTypeName])[] = [
  ["innerHTML", "Element innerHTML", "TrustedHTML"],
  ["outerHTML", "Element outerHTML", "TrustedHTML"],
  ["insertAdjacentHTML", "Element insertAdjacentHTML", "TrustedHTML"],
  ["setHTMLUnsafe", "Element setHTMLUnsafe", "TrustedHTML"],
  ["shadow innerHTML", "ShadowRoot innerHTML", "TrustedHTML"],
  ["contextual fragment", "Range createContextualFragment", "TrustedHTML"],
  ["DOMParser", "DOMParser parseFromString", "TrustedHTML"],
  ["parseHTMLUnsafe", "Document parseHTMLUnsafe", "TrustedHTML"],
  ["srcdoc property", "HTMLIFrameElement srcdoc", "TrustedHTML"],
  ["srcdoc attribute", "HTMLIFrameElement srcdoc", "TrustedHTML"],
  ["script src", "HTMLScriptElement src", "TrustedScriptURL"],
  ["script src attribute", "HTMLScriptElement src", "TrustedScriptURL"],
  ["svg script href", "SVGScriptElement href", "TrustedScriptURL"],
  ["script text", "HTMLScriptElement text", "TrustedScript"],
  ["script textContent", "HTMLScriptElement textContent", "TrustedScript"],
  ["script innerText", "HTMLScriptElement innerText", "TrustedScript"],
  ["handler attribute", "Element onclick", "TrustedScript"],
  ["execCommand", "Document execCommand", "TrustedHTML"],
  ["Worker sink", "Worker constructor", "TrustedScriptURL"],
  ["SharedWorker sink", "SharedWorker constructor", "TrustedScriptURL"],
];

const sink: Make = ({ id, random }) => {
  const [op, name, expectedType] = random.pick(sinks);
  const end = random.pick(["", " and a good deal more than forty characters", "  "]);
  const input = `${random.pick(["", " "])}/* ${id} */${end}`;
  return {
    measure: "done",
    step: { id, op, text: input, serial: true },
    question: { type: "sink", sink: name, expectedType, input },
  };
};

const compile =
  (op: string, compilationType: "DIRECT-EVAL" | "INDIRECT-EVAL" | "FUNCTION"): Make =>
  ({ id, random }) => {
    const code = `ran("${id}")${random.pick(["", " /* a good deal more than forty characters */"])}`;
    const isFunction = compilationType === "FUNCTION";
    const text = isFunction ? `function anonymous(\n) {\n${code}\n}` : code;
    return {
      measure: "done",
      step: { id, op, text: code, serial: true },
      question: { type: "compile", compilationType, text },
    };
  };

/** A timer's string, which is judged twice: as a sink's, and when it is compiled. */
const timer: Make = ({ id, random }) => {
  const code = `ran("${id}")${random.pick(["", " /* a good deal more than forty characters */"])}`;
  return {
    measure: "done",
    step: { id, op: "timer", text: code, serial: true },
    question: {
      type: "sequence",
      questions: [
        { type: "sink", sink: "Window setTimeout", expectedType: "TrustedScript", input: code },
        { type: "compile", compilationType: "TIMER", text: code },
      ],
    },
  };
};

/** A policy is made, sometimes twice. */
const policyCreation: Make = ({ id, random }) => {
  const name = random.pick(["listed", "other", "with space", "a#=_/@.%-z"]) + id;
  const first: Question = { type: "policy creation", name, created: [] };
  const twice = random.chance(0.5);
  const questions = twice ? [first, { ...first, created: [name] }] : [first];
  return {
    measure: "done",
    step: { id, op: twice ? "create twice" : "create", name, serial: true },
    question: { type: "sequence", questions },
    texts: [name],
  };
};

export const trustedTypesKinds: Kinds = {
  sink: [10, sink],
  "typed eval": [1, compile("eval", "DIRECT-EVAL")],
  "typed indirect eval": [1, compile("indirect-eval", "INDIRECT-EVAL")],
  "typed Function": [1, compile("function", "FUNCTION")],
  "typed setTimeout": [2, timer],
  "policy creation": [6, policyCreation],
};

export function trustedTypesPolicies(random: Random, names: readonly string[]): DeliveredPolicy[] {
  return Array.from({ length: random.pick([1, 1, 2]) }, () => {
    const directives: string[] = [];
    if (random.chance(0.7)) {
      const group = random.pick(["'script'", "'script'", "'SCRIPT'", "", "'style'", "script"]);
      directives.push(`require-trusted-types-for ${group}`);
    }
    if (random.chance(0.7)) {
      const odd = random.some(["*", "'none'", "'allow-duplicates'", "'Allow-Duplicates'"], 0.2);
      const listed = random.some(
        names.filter((name) => !name.includes(" ")),
        0.5,
      );
      directives.push(`trusted-types ${[...odd, ...listed].join(" ")}`);
    }
    if (random.chance(0.3)) {
      const list = random.some(["'unsafe-eval'", "'trusted-types-eval'", "'report-sample'"], 0.5);
      directives.push(`script-src 'unsafe-inline' http: https: ${list.join(" ")}`);
    }
    const delivery = random.pick(["header", "header", "report-only header", "meta"] as const);
    return { delivery, text: directives.join("; ") };
  });
}
