/** A page with policies, for tests. */
import { type Client, parsePolicyList } from "@conclave/csp";

export const pageUrl = "https://a.example/page?q=1";

export function pageWith(enforce: string, report = ""): Client {
  const policies = [...parsePolicyList(enforce), ...parsePolicyList(report, "report")];
  return { url: pageUrl, cspList: { policies, selfOrigin: "https://a.example" } };
}
