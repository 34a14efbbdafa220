/**
 * The checks in a source file, found in its syntax tree each time anew; and the file without one of them.
 *
 * - `checks`: each statement that throws an `MlsError` or reports one, each call whose purpose is to check.
 * - `conditions`: each arm of an `||` or `&&` on which such a statement hangs.
 * - `wipes`: each call that overwrites secrets.
 */

import { parseAst } from "vite";

export const CLASSES = ["checks", "conditions", "wipes"] as const;
export type CheckClass = (typeof CLASSES)[number];

export interface Check {
  /** Below `packages/mls/src`. */
  readonly file: string;
  readonly line: number;
  readonly class: CheckClass;
  /** What is deleted, in one line. */
  readonly text: string;
  readonly start: number;
  readonly end: number;
  /** What stands there instead. */
  readonly without: string;
  /** What is put around it to tell when it refuses something; or, if it wipes, when it runs. */
  readonly watch: readonly [before: string, after: string];
}

export function checkKey({ file, start, end }: Check): string {
  return `${file}:${start}-${end}`;
}

/** A node of the syntax tree, as far as it matters here. */
interface SyntaxNode {
  readonly type: string;
  readonly start: number;
  readonly end: number;
  readonly [key: string]: unknown;
}

function isNode(value: unknown): value is SyntaxNode {
  return typeof value === "object" && value !== null && "type" in value && "start" in value;
}

function children(node: SyntaxNode): SyntaxNode[] {
  return Object.values(node).flatMap((value) =>
    Array.isArray(value) ? value.filter(isNode) : isNode(value) ? [value] : [],
  );
}

/** By name; `verify` alone is a question whose answer somebody else checks. */
const CHECKING = /^#?(?:check|validate|verify[A-Z]|refuse|lacking|attempt|judge|policy)/;
const WIPING = /^#?wipe/;

/** The name of what is called, under `await` and `?.`. */
function calledName(node: unknown): string | undefined {
  if (!isNode(node)) return undefined;
  if (node.type === "AwaitExpression") return calledName(node["argument"]);
  if (node.type === "ChainExpression") return calledName(node["expression"]);
  if (node.type !== "CallExpression") return undefined;
  const callee = node["callee"];
  if (!isNode(callee)) return undefined;
  const named = callee.type === "MemberExpression" ? callee["property"] : callee;
  if (!isNode(named)) return undefined;
  const name = named["name"];
  if (typeof name !== "string") return undefined;
  return name === "fill" && isFillOfZero(node) ? "wipe" : name;
}

function isFillOfZero(call: SyntaxNode): boolean {
  const [first] = call["arguments"] as readonly unknown[];
  return isNode(first) && first["value"] === 0;
}

/** Whether a throw makes the error that it throws: what is thrown on is no check of its own. */
function makesError(node: SyntaxNode): boolean {
  const argument = node["argument"];
  if (!isNode(argument)) return false;
  if (argument.type === "CallExpression") return true;
  const callee = argument["callee"];
  return argument.type === "NewExpression" && isNode(callee) && callee["name"] === "MlsError";
}

/** Whether a node, not the functions in it, awaits something. */
function awaits(node: SyntaxNode): boolean {
  if (node.type === "AwaitExpression") return true;
  if (/Function/.test(node.type)) return false;
  return children(node).some(awaits);
}

export function findChecks(file: string, source: string): readonly Check[] {
  const found: Check[] = [];
  const attempted = new Set<SyntaxNode>();
  const add = (
    node: SyntaxNode,
    kind: CheckClass,
    without: string,
    watch: (key: string) => readonly [before: string, after: string],
  ): void => {
    const { start, end } = node;
    const text = source.slice(start, end).replaceAll(/\s+/g, " ").slice(0, 100);
    const line = source.slice(0, start).split("\n").length;
    const key = JSON.stringify(`${file}:${start}-${end}`);
    found.push({
      file,
      line,
      class: kind,
      text,
      start,
      end,
      without,
      watch: watch(key),
    });
  };
  const statement = (key: string) => [`{ globalThis.fired(${key}); `, " }"] as const;
  const call = (node: unknown): void => {
    if (!isNode(node)) return;
    if (node.type === "AwaitExpression") {
      call(node["argument"]);
      return;
    }
    const name = calledName(node);
    if (name === undefined || !CHECKING.test(name)) return;
    add(node, "checks", "undefined", (key) =>
      // Whoever calls `refuse` does refuse, though it may only be noted.
      awaits(node) || name === "refuse"
        ? [`(globalThis.fired(${key}), `, ")"]
        : [`globalThis.watched(${key}, () => `, ")"],
    );
  };
  /** The arms of the condition on which a check hangs. */
  const arms = (test: SyntaxNode): void => {
    if (test.type === "ParenthesizedExpression" && isNode(test["expression"])) {
      arms(test["expression"]);
      return;
    }
    const operator = test["operator"];
    if (test.type !== "LogicalExpression" || (operator !== "||" && operator !== "&&")) return;
    const neutral = operator === "||" ? "false" : "true";
    for (const side of [test["left"], test["right"]]) {
      if (!isNode(side)) continue;
      if (side.type === "LogicalExpression" && side["operator"] === operator) {
        arms(side);
        continue;
      }
      add(side, "conditions", neutral, (key) => [`globalThis.arm(${key}, ${neutral}, `, ")"]);
      arms(side);
    }
  };
  const walk = (node: SyntaxNode): void => {
    switch (node.type) {
      case "ThrowStatement":
        if (makesError(node)) add(node, "checks", "{}", statement);
        break;
      case "ExpressionStatement": {
        const name = calledName(node["expression"]);
        if (name !== undefined && WIPING.test(name)) add(node, "wipes", "{}", statement);
        call(node["expression"]);
        break;
      }
      case "ReturnStatement":
        call(node["argument"]);
        break;
      case "ArrowFunctionExpression":
        // What is attempted is one check with the attempt.
        if (!attempted.has(node)) call(node["body"]);
        break;
      case "CallExpression":
        if (calledName(node) === "attempt")
          for (const child of children(node)) attempted.add(child);
        break;
      case "IfStatement": {
        const [test, then] = [node["test"], node["consequent"]];
        if (isNode(test) && isNode(then) && refuses(then)) arms(test);
        break;
      }
    }
    for (const child of children(node)) walk(child);
  };
  walk(parseAst(source, { lang: "ts" }, file) as unknown as SyntaxNode);
  return found;
}

/** Whether a statement throws or reports, by itself or as the one thing in its block. */
function refuses(node: SyntaxNode): boolean {
  if (node.type === "ThrowStatement") return true;
  if (node.type === "ExpressionStatement") {
    return /^#?(?:refuse|lacking)/.test(calledName(node["expression"]) ?? "");
  }
  return node.type === "BlockStatement" && children(node).some(refuses);
}

/** The file without one check. */
export function withoutCheck(
  source: string,
  check: Pick<Check, "start" | "end" | "without">,
): string {
  return source.slice(0, check.start) + check.without + source.slice(check.end);
}

/** The file in which every check tells when it refuses. */
export function watchedSource(file: string, source: string): string {
  const insertions = findChecks(file, source).flatMap(({ start, end, watch }) => [
    { at: start, text: watch[0], opens: true, length: end - start },
    { at: end, text: watch[1], opens: false, length: end - start },
  ]);
  // Where several meet, what ends comes first; of what begins the longest, of what ends the shortest.
  insertions.sort(
    (a, b) =>
      a.at - b.at ||
      Number(a.opens) - Number(b.opens) ||
      (a.opens ? b.length - a.length : a.length - b.length),
  );
  let code = "";
  let at = 0;
  for (const insertion of insertions) {
    code += source.slice(at, insertion.at) + insertion.text;
    ({ at } = insertion);
  }
  return code + source.slice(at);
}
