import { describe, expect, test } from "vitest";
import { configurationOf } from "../../src/page/configuration.ts";

describe("configurationOf", () => {
  test("takes a service's origin", () => {
    expect(configurationOf({ serviceOrigin: "https://chat.example:8441", more: 1 })).toEqual({
      serviceOrigin: "https://chat.example:8441",
    });
  });

  test.each([
    undefined,
    null,
    {},
    { serviceOrigin: 5 },
    { serviceOrigin: "chat.example" },
    { serviceOrigin: "https://chat.example/" },
    { serviceOrigin: "https://chat.example/path" },
    { serviceOrigin: "javascript:alert(1)" },
  ])("refuses %j", (value) => {
    expect(() => configurationOf(value)).toThrow(TypeError);
  });
});
