/**
 * What a device and the service say to each other: the structures that are signed, the bodies of requests
 * and answers, the frames of the socket. No I/O and nothing of the server, so clients depend on it too.
 * @module
 */

export * from "./api.ts";
export * from "./base64url.ts";
export * from "./commit-policy.ts";
export * from "./device-list.ts";
export * from "./ed25519.ts";
export * from "./identity.ts";
export * from "./link.ts";
export * from "./problem.ts";
export * from "./recovery.ts";
export * from "./report.ts";
export * from "./routes.ts";
export * from "./sign-in.ts";
