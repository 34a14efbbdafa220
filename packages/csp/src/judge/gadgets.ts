/**
 * Script gadgets: libraries that turn HTML which somebody injected into script, by version.
 * The classes are those of "Code-Reuse Attacks for the Web" (Lekies et al., CCS 2017).
 * @module
 */

/**
 * What the policy must let through for it: `any` runs under every policy that loads the library, `strict-dynamic` has
 * the library add a script element, `unsafe-eval` has it evaluate text.
 */
export type GadgetNeed = "any" | "strict-dynamic" | "unsafe-eval";

export interface Gadget {
  readonly library: string;
  /** The versions that have it: from the first on, below the second. */
  readonly from: string;
  readonly below: string | null;
  readonly needs: GadgetNeed;
  /** What the attacker writes and what becomes of it. */
  readonly attack: string;
  /** The year of the evidence. */
  readonly seen: number;
  readonly source: string;
}

interface Library {
  /** Packages, folders and files that are this library's, lower case, without `.min.js` and the like. */
  readonly names: readonly string[];
  readonly gadgets: readonly Omit<Gadget, "library">[];
}

const research = { seen: 2017, source: "Code-Reuse Attacks for the Web (CCS 2017)" } as const;
const documented = { seen: 2025, source: "library's documentation" } as const;
const tested = { seen: 2026, source: "run in Chromium by this package's tests" } as const;

const libraries: Readonly<Record<string, Library>> = {
  AngularJS: {
    names: ["angular", "angularjs", "angular.js"],
    gadgets: [
      {
        from: "1.0.0",
        below: null,
        needs: "any",
        attack:
          "Attributes such as ng-app and ng-on-error hold expressions, which AngularJS interprets itself.",
        ...tested,
      },
    ],
  },
  Aurelia: {
    names: [
      "aurelia",
      "aurelia-core",
      "aurelia-framework",
      "aurelia-script",
      "aurelia-bootstrapper",
    ],
    gadgets: [
      {
        from: "0.0.0",
        below: "2.0.0",
        needs: "any",
        attack:
          "Templates hold expressions such as ${…} and click.delegate, which Aurelia interprets itself.",
        ...research,
      },
    ],
  },
  Polymer: {
    names: ["polymer", "polymer-micro", "polymer-mini"],
    gadgets: [
      {
        from: "1.0.0",
        below: "2.0.0",
        needs: "any",
        attack: "A dom-bind template calls functions of the page by name through its bindings.",
        ...research,
      },
    ],
  },
  Ractive: {
    names: ["ractive"],
    gadgets: [
      {
        from: "0.1.0",
        below: null,
        needs: "unsafe-eval",
        attack: "A template's {{…}} is compiled with Function.",
        ...research,
      },
      {
        from: "0.1.0",
        below: null,
        needs: "strict-dynamic",
        attack: "A script element inside a template is added again by Ractive.",
        ...research,
      },
    ],
  },
  "Vue (with compiler)": {
    names: [
      "vue",
      "vue.global",
      "vue.global.prod",
      "vue.esm-browser",
      "vue.esm-browser.prod",
      "vue.common",
    ],
    gadgets: [
      {
        from: "1.0.0",
        below: null,
        needs: "unsafe-eval",
        attack:
          "Text in {{…}} and v- attributes below the mounted element is compiled with Function.",
        ...research,
      },
    ],
  },
  "petite-vue": {
    names: ["petite-vue"],
    gadgets: [
      {
        from: "0.0.0",
        below: null,
        needs: "unsafe-eval",
        attack: "Text in {{…}} and v- attributes below v-scope is compiled with Function.",
        ...documented,
      },
    ],
  },
  Alpine: {
    names: ["alpinejs", "alpine"],
    gadgets: [
      {
        from: "1.0.0",
        below: null,
        needs: "unsafe-eval",
        attack: "x-data, x-init and the like hold script, which Alpine evaluates.",
        ...tested,
      },
    ],
  },
  htmx: {
    names: ["htmx", "htmx.org"],
    gadgets: [
      {
        from: "1.0.0",
        below: null,
        needs: "unsafe-eval",
        attack: "hx-on and js: in hx-vals hold script, which htmx evaluates.",
        ...documented,
      },
      {
        from: "1.0.0",
        below: null,
        needs: "strict-dynamic",
        attack: "hx-get fetches HTML, and htmx adds the script elements in it.",
        ...documented,
      },
    ],
  },
  Knockout: {
    names: ["knockout", "knockout-latest", "knockout-min", "ko"],
    gadgets: [
      {
        from: "1.0.0",
        below: null,
        needs: "unsafe-eval",
        attack:
          "data-bind holds script, which is compiled with Function when bindings are applied.",
        ...tested,
      },
    ],
  },
  Underscore: {
    names: ["underscore", "underscore.js", "underscore-umd"],
    gadgets: [
      {
        from: "0.1.0",
        below: null,
        needs: "unsafe-eval",
        attack: "<% … %> in a template that stands in the page is compiled with Function.",
        ...research,
      },
    ],
  },
  Lodash: {
    names: ["lodash", "lodash.js", "lodash.template"],
    gadgets: [
      {
        from: "0.1.0",
        below: null,
        needs: "unsafe-eval",
        attack: "<% … %> in a template that stands in the page is compiled with Function.",
        ...documented,
      },
    ],
  },
  jQuery: {
    names: ["jquery", "jquery.slim"],
    gadgets: [
      {
        from: "1.0.0",
        below: "4.0.0",
        needs: "strict-dynamic",
        attack:
          "html(), append() and the like add the script elements of a text again, whatever nonce they have.",
        ...research,
      },
      {
        from: "1.0.0",
        below: "3.0.0",
        needs: "unsafe-eval",
        attack: "html(), append() and the like evaluate the text of script elements.",
        ...documented,
      },
    ],
  },
  "jQuery Mobile": {
    names: ["jquery.mobile", "jquery-mobile", "jquerymobile"],
    gadgets: [
      {
        from: "1.0.0",
        below: null,
        needs: "strict-dynamic",
        attack:
          "The id of an element with data-role=popup is written into HTML that jQuery then inserts.",
        ...research,
      },
      {
        from: "1.0.0",
        below: null,
        needs: "unsafe-eval",
        attack:
          "The id of an element with data-role=popup is written into HTML that jQuery then inserts.",
        ...research,
      },
    ],
  },
  "jQuery UI": {
    names: ["jquery-ui", "jqueryui", "jquery.ui"],
    gadgets: [
      {
        from: "1.8.0",
        below: "1.13.0",
        needs: "strict-dynamic",
        attack:
          "Options that widgets read from attributes, such as a button's label, are inserted as HTML.",
        ...research,
      },
    ],
  },
  Bootstrap: {
    names: ["bootstrap", "twitter-bootstrap", "bootstrap.bundle"],
    gadgets: [
      {
        from: "2.0.0",
        below: "3.4.1",
        needs: "strict-dynamic",
        attack:
          "data-html with data-toggle=tooltip or popover inserts the HTML of title or data-content.",
        ...research,
      },
      {
        from: "4.0.0",
        below: "4.3.1",
        needs: "strict-dynamic",
        attack:
          "data-html with data-toggle=tooltip or popover inserts the HTML of title or data-content.",
        ...documented,
      },
    ],
  },
  "Ember (with template compiler)": {
    names: ["ember", "ember.js", "ember.debug", "ember-template-compiler"],
    gadgets: [
      {
        from: "1.0.0",
        below: "3.0.0",
        needs: "unsafe-eval",
        attack: "A script element of type text/x-handlebars is compiled as a template.",
        ...research,
      },
      {
        from: "1.0.0",
        below: "3.0.0",
        needs: "strict-dynamic",
        attack: "A script element inside such a template is added again.",
        ...research,
      },
    ],
  },
  RequireJS: {
    names: ["require", "requirejs", "require.js"],
    gadgets: [
      {
        from: "0.1.0",
        below: null,
        needs: "strict-dynamic",
        attack: "data-main of any script element before it names a script, which RequireJS adds.",
        ...tested,
      },
    ],
  },
  Dojo: {
    names: ["dojo", "dojo.js"],
    gadgets: [
      {
        from: "1.0.0",
        below: "2.0.0",
        needs: "unsafe-eval",
        attack: "data-dojo-props and the like hold script, which the parser evaluates.",
        ...research,
      },
    ],
  },
  "Closure Library": {
    names: ["closure-library", "google-closure-library", "goog", "closure"],
    gadgets: [
      {
        from: "0.0.0",
        below: null,
        needs: "strict-dynamic",
        attack:
          "The base path of modules is read from a script element that anybody may have added.",
        ...research,
      },
    ],
  },
  "web components polyfill": {
    names: ["webcomponents", "webcomponents-lite", "webcomponentsjs"],
    gadgets: [
      {
        from: "0.1.0",
        below: "2.0.0",
        needs: "strict-dynamic",
        attack:
          "A link element with rel=import fetches HTML, and the polyfill adds the scripts in it.",
        ...research,
      },
    ],
  },
  Ajaxify: {
    names: ["ajaxify", "jquery-ajaxify"],
    gadgets: [
      {
        from: "0.0.0",
        below: null,
        needs: "strict-dynamic",
        attack: "Elements with the class document-script are added as script elements.",
        ...research,
      },
    ],
  },
  "Rails UJS": {
    names: ["rails-ujs", "@rails/ujs", "jquery-ujs", "jquery_ujs"],
    gadgets: [
      {
        from: "0.0.0",
        below: null,
        needs: "any",
        attack:
          "A link with data-remote and data-type=script is fetched on a click; its text becomes a script element, with the page's nonce.",
        ...documented,
      },
    ],
  },
  Turbolinks: {
    names: ["turbolinks"],
    gadgets: [
      {
        from: "2.0.0",
        below: null,
        needs: "strict-dynamic",
        attack: "The script elements of a page that a link leads to are added again.",
        ...documented,
      },
    ],
  },
  "Prototype.js": {
    names: ["prototype", "prototypejs", "prototype.js"],
    gadgets: [
      {
        from: "1.5.0",
        below: null,
        needs: "unsafe-eval",
        attack: "update() and insert() evaluate the text of script elements.",
        ...documented,
      },
    ],
  },
  MathJax: {
    names: ["mathjax", "mathjax.js"],
    gadgets: [
      {
        from: "1.0.0",
        below: "3.0.0",
        needs: "strict-dynamic",
        attack: "A script element of type text/x-mathjax-config is run as script.",
        ...documented,
      },
      {
        from: "1.0.0",
        below: "3.0.0",
        needs: "unsafe-eval",
        attack: "A script element of type text/x-mathjax-config is run as script.",
        ...documented,
      },
    ],
  },
  Mavo: {
    names: ["mavo", "mavo.es5"],
    gadgets: [
      {
        from: "0.0.0",
        below: null,
        needs: "unsafe-eval",
        attack: "Text in [ … ] below mv-app is compiled as an expression.",
        ...documented,
      },
    ],
  },
  hyperscript: {
    names: ["_hyperscript", "hyperscript.org"],
    gadgets: [
      {
        from: "0.0.1",
        below: null,
        needs: "any",
        attack: "The attribute _ holds a program, which hyperscript interprets itself.",
        ...documented,
      },
    ],
  },
};

/** Every gadget that is known. */
export const gadgets: readonly Gadget[] = Object.entries(libraries).flatMap(([library, known]) =>
  known.gadgets.map((gadget) => ({ library, ...gadget })),
);

/** A library that a script's URL names, and one gadget of it. */
export interface FoundGadget {
  /** The URL as it was given. */
  readonly script: string;
  readonly gadget: Gadget;
  /** `null` where the URL doesn't say. */
  readonly version: string | null;
}

/**
 * The gadgets of libraries that the URLs name, as cdnjs, jsDelivr, unpkg, Google, jQuery and file names do. Where a URL
 * has no version all of the library's gadgets are given. A renamed or bundled library is not found.
 */
export function findGadgets(scripts: readonly string[]): FoundGadget[] {
  const found: FoundGadget[] = [];
  for (const script of scripts) {
    for (const { name, version } of librariesOf(script)) {
      const library = libraryOf.get(name);
      if (library === undefined) continue;
      for (const gadget of gadgets) {
        if (gadget.library !== library) continue;
        if (version !== null && !isBetween(version, gadget)) continue;
        if (!found.some((other) => other.script === script && other.gadget === gadget)) {
          found.push({ script, gadget, version });
        }
      }
    }
  }
  return found;
}

const libraryOf: ReadonlyMap<string, string> = new Map(
  Object.entries(libraries).flatMap(([library, { names }]) =>
    names.map((name) => [name, library] as const),
  ),
);

interface Named {
  readonly name: string;
  readonly version: string | null;
}

const maximumUrlLength = 2048;
const versionPattern = /^v?(\d+(?:\.\d+)*)/;

/** What a URL could name: packages with `@`, a folder followed by a version, and the file itself. */
function librariesOf(script: string): Named[] {
  const url = URL.parse(script, "https://page.example/");
  if (!url || script.length > maximumUrlLength) return [];
  const segments = url.pathname.toLowerCase().split(/[/,]/);
  const named: Named[] = [];
  for (const [index, segment] of segments.entries()) {
    const previous = segments[index - 1] ?? "";
    const at = segment.lastIndexOf("@");
    if (at > 0) {
      const scope = previous.startsWith("@") ? `${previous}/` : "";
      named.push({ name: scope + segment.slice(0, at), version: versionIn(segment.slice(at + 1)) });
    } else if (versionPattern.test(segment) && index < segments.length - 1) {
      named.push({ name: previous, version: versionIn(segment) });
    }
  }
  const file = fileNamed(segments.at(-1) ?? "");
  const stated = named.find(({ version }) => version !== null)?.version ?? null;
  const version = file.version ?? versionIn(url.searchParams.get("v") ?? "") ?? stated;
  // A package's folder says what it is, but not when a file in it is made without the compiler.
  if (withoutGadget.test(segments.at(-1) ?? "")) return [];
  const packages = named.filter(({ name }) => libraryOf.has(name));
  const inPackage = packages.some(({ name }) => libraryOf.get(name) === libraryOf.get(file.name));
  const unversioned = segments.filter((segment) => isFolderOf(segment, packages));
  return [
    ...packages,
    ...(inPackage ? [] : [{ name: file.name, version }]),
    ...unversioned.map((name) => ({ name, version: null })),
  ];
}

const withoutGadget = /\.runtime\.|^csp(?:\.min)?\.js$|^cdn\.csp/;

/** `https://unpkg.com/vue` and the like: the last segment is the package itself. */
function isFolderOf(segment: string, packages: readonly Named[]): boolean {
  return libraryOf.has(segment) && packages.length === 0 && !segment.endsWith(".js");
}

/** `jquery-3.1.1.min.js` is jquery of version 3.1.1. */
function fileNamed(file: string): Named {
  const name = file.replace(/(?:[.-](?:min|slim\.min|prod|umd|iife))?\.m?js$/, "");
  const dash = /[-.]v?(\d+(?:\.\d+)+)(?:[-.](?:min|slim|umd))?$/.exec(name);
  if (!dash) return { name, version: null };
  return { name: name.slice(0, dash.index), version: dash[1] ?? null };
}

function versionIn(text: string): string | null {
  return versionPattern.exec(text)?.[1] ?? null;
}

/** A version of fewer parts than the bound stands for the newest of its line, as CDNs take it. */
function isBetween(version: string, { from, below }: Gadget): boolean {
  return (
    compareVersions(version, from) >= 0 && (below === null || compareVersions(version, below) < 0)
  );
}

function compareVersions(version: string, bound: string): number {
  const parts = version.split(".").map(Number);
  for (const [index, part] of bound.split(".").map(Number).entries()) {
    const own = parts[index] ?? Number.POSITIVE_INFINITY;
    if (own !== part) return own < part ? -1 : 1;
  }
  return 0;
}
