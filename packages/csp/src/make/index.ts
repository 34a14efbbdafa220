/**
 * Policies for sites. Start with `staticSite` for a folder of files, and `serverConfiguration` to send its policies;
 * `@conclave/csp/crawl` visits a site that runs. Needs `parse5`.
 * @module
 */
export { type StyleResource, styleResources } from "./css.ts";
export {
  type AttributeUse,
  type HtmlAttribute,
  type HtmlContext,
  type HtmlElement,
  type HtmlInventory,
  type HtmlLink,
  type HtmlResource,
  type HtmlScript,
  type HtmlStyle,
  inspectHtml,
  type MetaPolicy,
  type ScriptType,
} from "./html.ts";
export {
  type Concern,
  type Evidence,
  type ProposedSource,
  proposePolicy,
  type SourceDirective,
} from "./proposal.ts";
export {
  type ConfigurationFormat,
  configurationFormats,
  type ServerConfiguration,
  type ServerConfigurationOptions,
  serverConfiguration,
} from "./server-configuration.ts";
export type { SiteFile, SiteProblem } from "./site-page.ts";
export {
  type SitePage,
  type StaticSite,
  type StaticSiteOptions,
  staticSite,
} from "./static-site.ts";
