/**
 * `csp explain`: what a policy does, or what it says to one thing and why.
 * @module
 */

import type { Decision } from "../decide/decision.ts";
import { explain as explainDecision } from "../decide/explain.ts";
import {
  type Command,
  coloursFor,
  type ExitCode,
  parseOptions,
  UsageError,
  type World,
  widthOf,
  writeJson,
} from "./command.ts";
import {
  pageUrl,
  policyHelp,
  policyOptions,
  readSubject,
  readSubjects,
  type Subject,
} from "./input.ts";
import {
  decideQuestion,
  describeQuestion,
  type Question,
  questionOptions,
  readProfile,
  readQuestion,
} from "./question.ts";
import { type Palette, pointAt, printable, wrap } from "./terminal.ts";
import { describePolicy, describeUngoverned } from "./words.ts";

export const questionHelp = `  What is asked, one of:
      --script, --style, --image, --font, --connect, --media, --frame, --worker, --object, --manifest URL
      --inline-script, --inline-style, --event-handler, --style-attribute, --javascript-url, --eval CODE
      --wasm, --form URL, --base URL, --embedded-by ORIGIN
  and what is known of it:
      --nonce NONCE, --integrity HASHES, --inserted-by-script, --redirect URL (may come several times)`;

const help = `Usage: csp explain [options] [POLICY...]

Says what each directive does, in words; or, when something is asked, whether it is allowed, why, and what would allow
it. Exits with 1 when it is blocked.

${policyHelp}
${questionHelp}
      --profile NAME     specification (default) or chromium, where they differ
      --json             for machines

Examples:
  csp explain "default-src 'self'; script-src 'nonce-r4nd0m' 'strict-dynamic'"
  csp explain -p "script-src 'self'" --script https://cdn.example/lib.js
  csp explain -p "script-src 'nonce-abc' 'strict-dynamic'" --script https://cdn.example/a.js --inserted-by-script
  csp explain --inline-script "start()" -p "script-src 'sha256-DIm7WJS6ZKDYe5qFLPy+h4JFI9Bol5QmYC57mt3Fb00='"
`;

async function run(world: World): Promise<ExitCode> {
  const { values, positionals } = parseOptions(world.args, {
    ...policyOptions,
    ...questionOptions,
    profile: { type: "string" },
  });
  const colours = coloursFor(world, values);
  const question = readQuestion(values);
  const profile = readProfile(values.profile);
  if (!question) {
    const stray = ["nonce", "integrity", "inserted-by-script", "redirect"] as const;
    const unused = stray.find((name) => values[name] !== undefined);
    if (unused) throw new UsageError(`--${unused} goes with a question, like --script`);
    const subjects = await readSubjects(world, values, positionals);
    if (values.json) writeJson(world, { version: 1, subjects: subjects.map(policyJson) });
    else for (const subject of subjects) writePolicy(world, subject, colours);
    return 0;
  }
  const subject = await readSubject(world, values, positionals);
  const page = pageUrl(values.page ?? (URL.canParse(subject.name) ? subject.name : undefined));
  const decision = await decideQuestion(question, subject, page, profile);
  if (values.json) writeJson(world, decisionJson(question, decision));
  else writeDecision(world, subject, question, decision, colours);
  return decision.result === "Allowed" ? 0 : 1;
}

function policyJson({ name, policies }: Subject): unknown {
  return {
    name,
    policies: policies.map(({ policy, from, text }) => ({
      from,
      disposition: policy.disposition,
      text,
      directives: describePolicy(policy),
      ignored: policy.ignored,
    })),
    unlimited: describeUngoverned(policies.map(({ policy }) => policy)),
  };
}

function writePolicy(world: World, { name, policies }: Subject, colours: Palette): void {
  const { stdout } = world;
  const width = widthOf(world);
  const lines = [colours.bold(printable(name))];
  for (const { policy, from } of policies) {
    lines.push("", colours.dim(from));
    for (const directive of describePolicy(policy)) {
      lines.push(`  ${colours.cyan(printable(directive.name))}`);
      lines.push(`    ${wrap(directive.text, width, "    ")}`);
    }
    for (const { text, reason } of policy.ignored) {
      lines.push(`  ${colours.yellow(printable(text))}`, `    ${ignoredWords[reason]}`);
    }
  }
  const free = describeUngoverned(policies.map(({ policy }) => policy));
  if (free.length > 0) {
    lines.push("", colours.dim("Not limited"), ...free.map((text) => `  ${text}`));
  }
  stdout.write(`${lines.join("\n")}\n`);
}

const ignoredWords = {
  duplicate: "Ignored: the directive was there before, and the first counts",
  "not-ascii": "Ignored: it has characters that are not ASCII",
  "not-in-meta": "Ignored: it counts in a header alone",
} as const;

/** The form is stable: fields may be added. */
export function decisionJson(question: Question, decision: Decision): unknown {
  const explanations = explainDecision(decision);
  return {
    version: 1,
    question,
    result: decision.result === "Allowed" ? "allowed" : "blocked",
    policies: decision.outcomes.map(({ policy, result, directive, effectiveDirective }, index) => ({
      text: policy.text,
      disposition: policy.disposition,
      result: result === "Allowed" ? "allowed" : "blocked",
      directive: directive?.name ?? null,
      effectiveDirective,
      ...explanations[index],
    })),
  };
}

function writeDecision(
  world: World,
  subject: Subject,
  question: Question,
  decision: Decision,
  colours: Palette,
): void {
  const { stdout } = world;
  const width = widthOf(world);
  const isAllowed = decision.result === "Allowed";
  const verdict = isAllowed ? colours.green("Allowed") : colours.red("Blocked");
  const lines = [`${verdict}: ${printable(describeQuestion(question))}`];
  const explanations = explainDecision(decision);
  // A fetch asks every policy several times: for the request, each redirect, the response.
  for (const [index, explanation] of explanations.entries()) {
    const outcome = decision.outcomes[index];
    const written = subject.policies.find(({ policy }) => policy === outcome?.policy);
    lines.push("", `  ${wrap(explanation.text, width, "  ")}`);
    const [token] = explanation.tokens;
    const span = token ?? outcome?.directive;
    if (written && span) {
      const [line, carets] = pointAt(written.text, span, width - 4);
      lines.push(`    ${line}`, `    ${(isAllowed ? colours.green : colours.red)(carets)}`);
    }
    for (const { directive, add, note } of explanation.remedies) {
      const remedy = `To allow it, add ${add} to ${directive}. ${note}`;
      lines.push(`  ${wrap(remedy, width, "  ")}`);
    }
  }
  if (decision.outcomes.length === 0)
    lines.push("", "  No policy is given, so nothing is limited.");
  stdout.write(`${lines.join("\n")}\n`);
}

export const explain: Command = { help, run };
