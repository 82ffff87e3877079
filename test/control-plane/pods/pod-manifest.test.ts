import assert from "node:assert/strict";
import { manifestHash, parsePodManifest } from "../../../control-plane/pods/pod-manifest";
import { KmsEtcdError } from "../../../core/errors";

const manifest = `
apiVersion: v1
kind: Pod
metadata: { name: kms, labels: { component: x }, annotations: { a: b } }
spec:
  hostNetwork: true
  terminationGracePeriodSeconds: 5
  volumes: []
  containers:
    - name: kms
      image: none
      command: [/bin/sh, -c]
      args: ["exec sleep 1"]
      env: [{ name: LEVEL, value: debug }, { name: EMPTY }]
      livenessProbe: {}
`;

function refusal(change: (text: string) => string): string {
  try {
    parsePodManifest(change(manifest));
  } catch (thrown) {
    assert.ok(thrown instanceof KmsEtcdError);
    assert.equal(thrown.code, "invalid-input");
    return thrown.message;
  }
  return "";
}

describe("reading a static pod's manifest", () => {
  it("takes name, command with arguments, environment and grace period, and leaves the rest to others", () => {
    assert.deepEqual(parsePodManifest(manifest), {
      name: "kms",
      hash: manifestHash(manifest),
      command: ["/bin/sh", "-c", "exec sleep 1"],
      environment: { LEVEL: "debug", EMPTY: "" },
      gracePeriodSeconds: 5,
    });
  });

  it("JSON is read as well, and the grace period is a kubelet's where none is given", () => {
    const json = JSON.stringify({
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name: "a" },
      spec: { containers: [{ command: ["x"] }] },
    });
    assert.equal(parsePodManifest(json).gracePeriodSeconds, 30);
  });

  it("any change of the file changes the hash, also one of a comment", () => {
    assert.notEqual(parsePodManifest(`${manifest}# restart`).hash, parsePodManifest(manifest).hash);
  });

  it("refuses what it can't run, and names the field", () => {
    assert.match(
      refusal((text) => text.replace("name: kms,", "name: Kms,")),
      /metadata\.name is "Kms"/,
    );
    assert.match(
      refusal((text) => text.replace("kind: Pod", "kind: Deployment")),
      /apiVersion and kind/,
    );
    assert.match(
      refusal((text) => text.replace("command: [/bin/sh, -c]", "")),
      /containers\[0\]\.command is missing/,
    );
    assert.match(
      refusal((text) => text.replace("Seconds: 5", "Seconds: -1")),
      /terminationGracePeriodSeconds is -1/,
    );
    assert.match(
      refusal((text) => text.replace("{ name: EMPTY }", "{ name: A, valueFrom: {} }")),
      /env\[1\]\.valueFrom/,
    );
    assert.match(
      refusal((text) => text.replace("[/bin/sh, -c]", "[/bin/sh, 3]")),
      /command\[1\] is not a text/,
    );
    assert.match(
      refusal((text) => `${text}    - name: second\n      command: [x]\n`),
      /containers has 2 entries/,
    );
    assert.match(
      refusal((text) => text.slice(0, 40)),
      /./,
    );
    assert.match(
      refusal(() => "a: [1"),
      /is not YAML/,
    );
    assert.match(
      refusal(() => ""),
      /the file is not an object/,
    );
  });
});
