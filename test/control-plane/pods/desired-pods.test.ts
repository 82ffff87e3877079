import assert from "node:assert/strict";
import fc from "fast-check";
import { type DesiredPod, desiredPods, type ManifestFile } from "../../../control-plane/pods/desired-pods";

function pod(name: string, command = "x"): string {
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name },
    spec: { containers: [{ command: [command] }] },
  });
}

function shown(
  files: readonly ManifestFile[],
  known: ReadonlyMap<string, DesiredPod> = new Map(),
): Record<string, string> {
  const { pods } = desiredPods(files, known);
  return Object.fromEntries([...pods].map(([name, { file, manifest }]) => [name, `${file}:${manifest.command[0]}`]));
}

describe("which pods a host should run", () => {
  it("every file that does not start with a dot is a pod, whatever its ending", () => {
    const files = [
      { file: "a.yaml", content: pod("a") },
      { file: "b.yaml~", content: pod("b") },
      { file: ".c.yaml", content: pod("c") },
    ];
    assert.deepEqual(shown(files), { a: "a.yaml:x", b: "b.yaml~:x" });
  });

  it("a file that becomes unreadable as a manifest leaves its pod as it was, and is a problem", () => {
    const before = desiredPods([{ file: "a.yaml", content: pod("a") }], new Map());
    const after = desiredPods([{ file: "a.yaml", content: "{" }], before.pods);
    assert.deepEqual(after.pods, before.pods);
    assert.equal(after.problems[0]?.file, "a.yaml");
  });

  it("a copy of a manifest does not take the pod over, even when it comes first by name; with the original gone it does", () => {
    const original = { file: "b.yaml", content: pod("a", "old") };
    const copy = { file: "a.yaml", content: pod("a", "new") };
    const before = desiredPods([original], new Map()).pods;
    assert.deepEqual(shown([copy, original], before), { a: "b.yaml:old" });
    assert.match(desiredPods([copy, original], before).problems[0]?.message ?? "", /already defined by b\.yaml/);
    assert.deepEqual(shown([copy], before), { a: "a.yaml:new" });
  });

  it("whatever is written into the directory, a pod stops only when its file is gone or defines another pod", () => {
    const content = fc.oneof(
      fc.constantFrom(pod("a"), pod("a", "y"), pod("b"), pod("c")),
      fc.constantFrom("{", "", "a: b"),
    );
    const directory = fc.dictionary(fc.constantFrom("1", "2", "3", ".4"), content);
    fc.assert(
      fc.property(fc.array(directory, { maxLength: 6 }), (states) => {
        let known: ReadonlyMap<string, DesiredPod> = new Map();
        for (const state of states) {
          const files = Object.entries(state).map(([file, text]) => ({ file, content: text }));
          const next = desiredPods(files, known);
          for (const [name, { file }] of known) {
            const now = state[file];
            const sameName = now !== undefined && (!now.includes('"Pod"') || now.includes(`"name":"${name}"`));
            if (sameName) assert.equal(next.pods.get(name)?.file, file);
          }
          for (const [name, { file, manifest }] of next.pods) {
            assert.equal(manifest.name, name);
            assert.ok(file in state && !file.startsWith("."));
          }
          const explained = new Set([
            ...[...next.pods.values()].map(({ file }) => file),
            ...next.problems.map(({ file }) => file),
          ]);
          for (const file of Object.keys(state)) assert.equal(explained.has(file), !file.startsWith("."));
          known = next.pods;
        }
      }),
    );
  });
});
