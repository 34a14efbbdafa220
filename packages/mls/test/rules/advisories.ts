/** Faults that other implementations had, and by which rules' tests they would be found here. */

import type { RuleId } from "./list.ts";

export interface Advisory {
  readonly name: string;
  readonly fault: string;
  /** The rules whose tests break it; with none, a test of its own in advisories.test.ts. */
  readonly rules: readonly RuleId[];
}

export const ADVISORIES: readonly Advisory[] = [
  {
    name: "GHSA-8x3w-qj7j-gqhf",
    fault: "a tag that is empty or cut short is taken, since only what both have is compared",
    rules: ["F11", "F22", "F23"],
  },
  {
    name: "GHSA-rrmv-c79f-cf5r",
    fault: "a decoder reads beyond the end of its input",
    rules: ["E06"],
  },
  {
    name: "openmls#2207",
    fault: "the signature key of an external committer is not held against the members'",
    rules: ["L22", "L24"],
  },
  {
    name: "openmls#2186, openmls#2182",
    fault: "a sender beyond the tree is taken; an unmerged leaf beyond it never ends",
    rules: ["F18", "T15"],
  },
  {
    name: "openmls#1691, openmls#1944, openmls#2194",
    fault: "a message of a past epoch is read with the leaf that is there now",
    rules: ["F24"],
  },
  {
    name: "openmls#1846",
    fault: "what a decrypted message used up is still in the storage",
    rules: ["D03", "D04"],
  },
  {
    name: "openmls#2147",
    fault: "lengths of 0x3fff and 0x3fffffff are written one form too long",
    rules: ["E05"],
  },
  { name: "openmls#2134", fault: "bytes behind a known extension are taken", rules: ["E08"] },
  {
    name: "openmls#1928",
    fault: "the same PSK twice in a commit",
    rules: ["P21"],
  },
  {
    name: "openmls#1943",
    fault: "a removed member's capabilities count for the types of proposals",
    rules: ["P26"],
  },
  { name: "openmls#1703", fault: "an Update stays beside a Remove of its leaf", rules: ["P17"] },
  { name: "openmls#1797", fault: "a tree is not cut after a Remove", rules: ["T18"] },
  { name: "openmls#1763", fault: "a leaf with an extension that it does not list", rules: ["L15"] },
  {
    name: "openmls#1702, openmls#1657, openmls#1667, openmls#1684",
    fault: "checks of Welcome, leaf, Remove and ExternalInit are missing",
    rules: ["L05", "L17", "P04", "P24", "P32"],
  },
  {
    name: "mls-rs#352",
    fault: "honest trees with blank ancestors beside a later member are refused",
    rules: ["T11"],
  },
  { name: "mls-rs#360, mls-rs#342", fault: "an emptied parent hash is taken", rules: ["T10"] },
  {
    name: "mls-rs#315",
    fault: "one good parent hash ends the check of them all",
    rules: ["T05", "T09"],
  },
  {
    name: "mls-rs#321, mlspp#291",
    fault: "unmerged leaves in another order are taken, or made by an Add",
    rules: ["T14", "T17"],
  },
  { name: "amethyst#3499", fault: "a restored group uses its generations again", rules: ["D10"] },
  {
    name: "amethyst#2471",
    fault: "the secret tree of a group whose size is no power of two never ends",
    rules: [],
  },
];
