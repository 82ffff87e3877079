import assert from "node:assert/strict";
import { createLog } from "../../plugin-server/log";

describe("the plugin's log", () => {
  const collect = (format: "json" | "text", level: "warn" | "debug") => {
    const lines: string[] = [];
    return { lines, log: createLog({ format, level }, { write: (line) => lines.push(line) }) };
  };

  it("in JSON has one object a line with timestamp, level and message", () => {
    const { lines, log } = collect("json", "debug");
    log.write("debug", "a call", { uid: "u-1", seconds: 0.5, absent: undefined });
    const { timestamp, ...rest } = JSON.parse(lines[0] ?? "") as Record<string, unknown>;
    assert.deepEqual(rest, { level: "debug", uid: "u-1", seconds: 0.5, message: "a call" });
    assert.ok(!Number.isNaN(Date.parse(String(timestamp))));
    assert.ok(lines[0]?.endsWith("}\n"));
  });

  it("in text has klog's form, and stays on one line whatever stands in a field", () => {
    const { lines, log } = collect("text", "debug");
    log.write("warn", "a call failed", { uid: 'u"\n1', seconds: 0.5, absent: undefined });
    assert.match(
      lines[0] ?? "",
      /^W\d{4} \d\d:\d\d:\d\d\.\d{6} +\d+ kms-etcd-plugin\] "a call failed" uid="u\\"\\n1" seconds=0\.5\n$/,
    );
  });

  for (const format of ["json", "text"] as const) {
    it(`in ${format} keeps to its level, except for lines that are always written`, () => {
      const { lines, log } = collect(format, "warn");
      log.write("info", "no");
      log.write("debug", "no");
      log.write("error", "first");
      log.always("info", "second");
      assert.deepEqual([log.enabled("warn"), log.enabled("info")], [true, false]);
      assert.equal(lines.length, 2);
    });
  }
});
