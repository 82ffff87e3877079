import assert from "node:assert/strict";
import { accessViolations } from "../../core/aks-block";
import { AksReach } from "../../core/aks-reach";

describe("by which way the Secrets of an AKS cluster are written again", () => {
  const pathsOf = (kubernetes: unknown) => accessViolations({ kubernetes }, () => false).map(({ path }) => path);

  it("a way that there is, alone or with what it needs => taken", () => {
    assert.deepEqual(pathsOf({ reach: AksReach.RunCommand }), []);
    assert.deepEqual(pathsOf({ reach: AksReach.Direct, credential: "User" }), []);
    assert.deepEqual(pathsOf({ kubeconfig: "text" }), []);
  });

  it("a way that there is not, or credentials that a command in the cluster has no use for => refused by their paths", () => {
    assert.deepEqual(pathsOf({ reach: "Bastion" }), ["kubernetes.reach"]);
    assert.deepEqual(pathsOf({ reach: AksReach.RunCommand, kubeconfig: "text", credential: "Admin" }), [
      "kubernetes.kubeconfig",
      "kubernetes.credential",
    ]);
    assert.deepEqual(pathsOf({ credential: "Root" }), ["kubernetes.credential"]);
  });
});
