/**
 * `csp check`: what is wrong with the policies of a page.
 * @module
 */
import {
  describeFinding,
  type Finding,
  judgePolicies,
  type Severity,
  severities,
  summarize,
} from "../judge/index.ts";
import {
  type Command,
  choice,
  coloursFor,
  type ExitCode,
  parseOptions,
  type World,
  widthOf,
  writeJson,
} from "./command.ts";
import { policyHelp, policyOptions, readSubjects, type Subject } from "./input.ts";
import { type Palette, pointAt, printable, wrap } from "./terminal.ts";

const help = `Usage: csp check [options] [POLICY...]

Judges policies: weaknesses, bypasses, mistakes in writing. Exits with 1 where something is found that is as severe as
--fail-on.

${policyHelp}
      --fail-on LEVEL    high (default), medium, low, info or none
      --show LEVEL       shows findings down to this level (default: low)
      --payloads         shows the HTML that gets through, for severe findings
      --json             for machines

Examples:
  csp check "script-src 'self' 'unsafe-inline'"
  csp check http://localhost:3000/
  curl -sI https://example.com/ | csp check
  csp check --fail-on medium dist/
`;

const failChoices = [...severities, "none"] as const;

/** Findings of one subject. */
interface Judged {
  readonly subject: Subject;
  readonly findings: readonly Finding[];
}

async function run(world: World): Promise<ExitCode> {
  const { values, positionals } = parseOptions(world.args, {
    ...policyOptions,
    "fail-on": { type: "string" },
    show: { type: "string" },
    payloads: { type: "boolean" },
  });
  const failOn = choice("fail-on", values["fail-on"], failChoices, "high");
  const show = choice("show", values.show, severities, "low");
  const colours = coloursFor(world, values);
  const subjects = await readSubjects(world, values, positionals);
  const judged = subjects.map((subject): Judged => {
    const { policies, selfOrigin, name: _, ...context } = subject;
    const list = { policies: policies.map(({ policy }) => policy), selfOrigin };
    return { subject, findings: judgePolicies(list, context) };
  });
  if (values.json) writeJson(world, toJson(judged));
  else {
    for (const one of judged) {
      writeSubject(world, one, { colours, show, payloads: values.payloads ?? false });
    }
  }
  if (failOn === "none") return 0;
  const limit = severities.indexOf(failOn);
  const fails = judged.some(({ findings }) =>
    findings.some(
      ({ severity, standing }) =>
        standing.type !== "report-only" && severities.indexOf(severity) <= limit,
    ),
  );
  return fails ? 1 : 0;
}

/** The form is stable: fields may be added. */
function toJson(judged: readonly Judged[]): unknown {
  return {
    version: 1,
    subjects: judged.map(({ subject, findings }) => ({
      name: subject.name,
      policies: subject.policies.map(({ policy, from, text }) => ({
        from,
        disposition: policy.disposition,
        text,
      })),
      ...summarize(findings),
      findings,
    })),
  };
}

interface Showing {
  readonly colours: Palette;
  readonly show: Severity;
  readonly payloads: boolean;
}

function writeSubject(world: World, { subject, findings }: Judged, showing: Showing): void {
  const { colours, show, payloads } = showing;
  const { stdout } = world;
  const { grade, counts } = summarize(findings);
  const limit = severities.indexOf(show);
  const shown = findings.filter(({ severity }) => severities.indexOf(severity) <= limit);
  stdout.write(`${colours.bold(printable(subject.name))}\n\n`);
  for (const finding of shown) writeFinding(world, subject, finding, { colours, payloads });
  const numbers = severities
    .filter((severity) => counts[severity] > 0)
    .map((severity) => `${counts[severity]} ${severity}`);
  const colour =
    grade === "strict" ? colours.green : grade === "fair" ? colours.yellow : colours.red;
  const hidden = findings.length - shown.length;
  const more = hidden > 0 ? colours.dim(` (--show info for ${hidden} more)`) : "";
  stdout.write(
    `${colour(gradeWords[grade])}${numbers.length > 0 ? `: ${numbers.join(", ")}` : ""}${more}\n`,
  );
}

const gradeWords = {
  none: "No policy is enforced",
  bypassable: "Bypassable",
  weak: "Weak",
  fair: "Fair",
  strict: "Strict",
} as const;

function writeFinding(
  { stdout, ...world }: World,
  subject: Subject,
  finding: Finding,
  { colours, payloads }: { readonly colours: Palette; readonly payloads: boolean },
): void {
  const width = widthOf({ stdout, ...world });
  const indent = "        ";
  const colour = severityColour(colours)[finding.severity];
  const { title } = describeFinding(finding.type);
  const lines = [
    `${colour(finding.severity.toUpperCase().padEnd(7))} ${colours.bold(title)} ${colours.dim(`(${finding.type})`)}`,
  ];
  lines.push(indent + wrap(finding.message, width, indent));
  const written = subject.policies[finding.policy];
  if (written && finding.span.length > 0 && finding.span.length < written.text.length) {
    const [line, carets] = pointAt(written.text, finding.span, width - indent.length);
    lines.push("", indent + line, indent + colour(carets));
  } else lines.push("");
  lines.push(indent + wrap(`Why: ${finding.why}`, width, indent));
  lines.push(indent + wrap(`Mend: ${finding.mend}`, width, indent));
  const { standing } = finding;
  if (standing.type === "report-only") lines.push(`${indent}Its policy only reports.`);
  if (standing.type === "closed") lines.push(`${indent}Policy ${standing.by + 1} closes it.`);
  if (payloads && finding.payload)
    lines.push(`${indent}Gets through: ${printable(finding.payload.html)}`);
  stdout.write(`${lines.join("\n")}\n\n`);
}

function severityColour({
  red,
  yellow,
  cyan,
  dim,
}: Palette): Readonly<Record<Severity, (text: string) => string>> {
  return { high: red, medium: yellow, low: cyan, info: dim };
}

export const check: Command = { help, run };
