/**
 * `csp diff`: what each of two policies allows beyond the other.
 * @module
 */
import { type Allowance, describe, difference } from "../compare/index.ts";
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
import { readSubject, type Subject } from "./input.ts";
import { readProfile } from "./question.ts";
import { pointAt, printable, wrap } from "./terminal.ts";

const help = `Usage: csp diff [options] POLICY POLICY

Says what each of two policies allows beyond the other, with an example that is blocked by the other. Exits with 1 when
they differ; with --wider, only when the second allows what the first does not.

  POLICY is the text of a policy, a file (headers, HTML, JSON, or the policy itself), or an http or https URL.
      --wider            only what the second allows beyond the first
      --page URL         the page's URL: what 'self' means
      --profile NAME     specification (default) or chromium, where they differ
      --json             for machines

Examples:
  csp diff "script-src 'self'" "script-src 'self' https://cdn.example"
  csp diff --wider policy.txt http://localhost:3000/
`;

async function run(world: World): Promise<ExitCode> {
  const { values, positionals } = parseOptions(world.args, {
    wider: { type: "boolean" },
    page: { type: "string" },
    profile: { type: "string" },
  });
  const [first, second, ...more] = positionals;
  if (first === undefined || second === undefined || more.length > 0) {
    throw new UsageError("two policies are asked for");
  }
  const page = values.page === undefined ? {} : { page: values.page };
  const a = await readSubject(world, page, [first]);
  const b = await readSubject(world, page, [second]);
  const { onlyFirst, onlySecond } = difference(policiesOf(a), policiesOf(b), {
    selfOrigin: a.selfOrigin,
    profile: readProfile(values.profile),
  });
  const narrowed = values.wider ? [] : onlyFirst;
  if (values.json) {
    const form = (list: readonly Allowance[]) =>
      list.map(({ directive, expressions, question, text }) => ({
        directive,
        expressions,
        example: describe(question),
        text,
      }));
    writeJson(world, { version: 1, onlyFirst: form(narrowed), onlySecond: form(onlySecond) });
  } else {
    writeSide(world, values, "-", "The first alone allows", a, narrowed);
    writeSide(world, values, "+", "The second alone allows", b, onlySecond);
    if (narrowed.length + onlySecond.length === 0) {
      world.stdout.write(
        values.wider ? "The second allows nothing more.\n" : "They allow the same.\n",
      );
    }
  }
  return narrowed.length + onlySecond.length > 0 ? 1 : 0;
}

function policiesOf({ policies }: Subject) {
  return policies.map(({ policy }) => policy);
}

function writeSide(
  world: World,
  values: Parameters<typeof coloursFor>[1],
  sign: "-" | "+",
  title: string,
  { policies }: Subject,
  allowances: readonly Allowance[],
): void {
  if (allowances.length === 0) return;
  const { bold, red, green } = coloursFor(world, values);
  const colour = sign === "-" ? red : green;
  const width = widthOf(world);
  const lines = [bold(title)];
  for (const { directive, expressions, question } of allowances) {
    const why = expressions.map(({ text }) => text).join(" and ") || "nothing limits it";
    const text = `${directive || "policy"}: ${describe(question)} (${why})`;
    lines.push(`${colour(sign)} ${wrap(text, width, "  ")}`);
    const [token] = expressions;
    const written = policies.find(
      (each) => token && each.text.slice(token.offset, token.offset + token.length) === token.text,
    );
    if (!token || !written) continue;
    const [line, carets] = pointAt(printable(written.text), token, width - 4);
    lines.push(`    ${line}`, `    ${colour(carets)}`);
  }
  world.stdout.write(`${lines.join("\n")}\n`);
}

export const diff: Command = { help, run };
