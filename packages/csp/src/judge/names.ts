/**
 * Names of hosts: where anybody registers one, those that never leave a machine, and those that are mistyped.
 * @module
 */
import { editDistance } from "./edit-distance.ts";

// Of the suffixes with two labels those that policies name by mistake; every single label counts as one.
const registries: ReadonlySet<string> = new Set(
  `
  com.ar com.au net.au org.au id.au com.br net.br org.br com.cn net.cn org.cn com.co com.de com.ec
  com.eg com.es com.gr com.hk com.mt com.mx com.my com.ng com.pe com.ph com.pk com.pl com.pt com.py
  com.ro com.ru com.sa com.sg com.tr com.tw com.ua com.uy com.ve com.vn co.at co.com co.hu co.id
  co.il co.in co.jp co.ke co.kr co.nz co.rs co.th co.tz co.ug co.uk co.za co.zm co.zw
  ac.jp ne.jp or.jp gr.jp ac.uk org.uk me.uk ltd.uk plc.uk net.uk org.nz net.nz geek.nz or.kr
  pe.kr re.kr org.il net.il org.in net.in firm.in gen.in ind.in org.mx net.pl org.pl waw.pl org.tr
  net.tr org.tw idv.tw org.ua in.ua kiev.ua org.za web.za nom.br blog.br de.com eu.com gb.com gb.net
  jp.net jpn.com se.net uk.com uk.net us.com us.org za.com br.com cn.com in.net ru.com sa.com
`
    .trim()
    .split(/\s+/),
);

/** Whether anybody can register names right below this one. */
export function isRegistry(name: string): boolean {
  return !name.includes(".") || registries.has(name);
}

/** Whether an address is written as numbers: `[::1]`, `192.0.2.1`. */
export function isIpAddress(host: string): boolean {
  return (host.startsWith("[") && host.endsWith("]")) || /^\d{1,3}(?:\.\d{1,3}){3}$/.test(host);
}

/** Whether a name or address is the visitor's own machine. */
export function isLoopback(host: string): boolean {
  return (
    host === "localhost" ||
    host.endsWith(".localhost") ||
    host === "[::1]" ||
    host === "0.0.0.0" ||
    (isIpAddress(host) && host.startsWith("127."))
  );
}

const localSuffixes = [".local", ".localdomain", ".lan", ".internal", ".home", ".corp", ".test"];

/** Whether a name is one of a local network, or for tests. */
export function isLocalName(host: string): boolean {
  return localSuffixes.some((suffix) => host.endsWith(suffix));
}

/** Whether a name ends like none that can be registered: `.con`, and those kept free of use. */
export function isNoTopLevel(host: string): boolean {
  const last = host.slice(host.lastIndexOf(".") + 1);
  return host.includes(".") && noTopLevel.has(last);
}

const noTopLevel: ReadonlySet<string> = new Set([
  ..."con cmo comm ocm cim vom xom nett ner ogr orgg ort".split(" "),
  "example",
  "invalid",
]);

// Names of which a wrong letter is worth money; all are long enough that a slip is no other word.
const wellKnown: readonly string[] = `
googleapis.com googletagmanager.com google-analytics.com googlesyndication.com googleadservices.com
googleusercontent.com doubleclick.net gstatic.com recaptcha.net youtube.com youtube-nocookie.com
cloudflare.com cloudfront.net cloudflareinsights.com jsdelivr.net bootstrapcdn.com jquery.com fontawesome.com
amazonaws.com azureedge.net akamaihd.net aspnetcdn.com microsoft.com microsoftonline.com office365.com
facebook.com facebook.net instagram.com twitter.com linkedin.com pinterest.com hotjar.com hubspot.com
hs-scripts.com intercom.io intercomcdn.com mixpanel.com segment.com optimizely.com newrelic.com nr-data.net
sentry-cdn.com bugsnag.com zendesk.com zdassets.com salesforce.com shopify.com stripe.com paypal.com
paypalobjects.com braintreegateway.com braintree-api.com github.com githubusercontent.com gravatar.com
typekit.net cookielaw.org onetrust.com cookiebot.com trustpilot.com vimeocdn.com wistia.com wistia.net
polyfill-fastly.io tiktok.com snapchat.com criteo.com criteo.net taboola.com outbrain.com adnxs.com
`
  .trim()
  .split(/\s+/);
const known: ReadonlySet<string> = new Set(wellKnown);
const wellKnownLabels = wellKnown.map((name) => {
  const [label = "", top = ""] = name.split(".");
  return { name, label, top };
});

// A shorter name is one letter from too many others.
const shortest = 6;

/** The well-known name that a host's last two labels miss by one letter. */
export function misspelt(host: string): string | undefined {
  const [top = "", label = ""] = host.split(".").reverse();
  if (label.length < shortest || label.length > 64 || known.has(`${label}.${top}`))
    return undefined;
  const found = wellKnownLabels.find((right) => {
    if (right.label === label) return right.top !== top && isSlip(top);
    if (right.label.length < shortest || right.top !== top) return false;
    // One slip leaves the first letter or the last as it is.
    if (right.label[0] !== label[0] && right.label.at(-1) !== label.at(-1)) return false;
    return editDistance(label, right.label, 1) === 1;
  });
  return found?.name;
}

/** Endings that are typed for `com`, `net` or `io`. */
function isSlip(top: string): boolean {
  return noTopLevel.has(top) || top === "cm" || top === "om" || top === "co" || top === "ne";
}
