/**
 * A collector of reports. Start with `startCollector`; or put `createEndpoint` and `createPage` over one store into a
 * server of your own.
 * @module
 */
export { type Caller, createEndpoint, type EndpointOptions, type Handler } from "./endpoint.ts";
export type { ReportFacts } from "./facts.ts";
export type { GroupClass, GroupKey } from "./group.ts";
export { type ListenerOptions, toNodeListener } from "./node-listener.ts";
export type { NoiseClass } from "./noise.ts";
export { createPage, type PageOptions } from "./page.ts";
export { type PolicyChange, type Proposal, proposeChanges } from "./proposal.ts";
export type { Rate } from "./rate-limit.ts";
export {
  type Count,
  type GroupDetails,
  type GroupFilter,
  type ListedGroup,
  type Observation,
  openReportStore,
  type ReportGroup,
  type ReportSample,
  type ReportStore,
  type StoreLimits,
} from "./report-store.ts";
export { type Collector, type CollectorOptions, startCollector } from "./start.ts";
