import assert from "node:assert/strict";
import { type ControlPlaneSettings, checkChoices, refuseOtherChoices } from "../../control-plane/settings";
import { stateLayout } from "../../control-plane/state-layout";

const settings: ControlPlaneSettings = {
  formatVersion: 1,
  hosts: 3,
  automaticReload: true,
  apiServerArguments: [],
  apiServerBinary: "/a",
  etcdBinary: "/e",
  etcdArguments: [],
  requestTimeoutSeconds: 15,
  staggerSeconds: 0,
  unsafeNoFsync: false,
  pluginSettings: {},
  apiServerPorts: [1, 2, 3],
  etcdPort: 4,
  etcdPeerPort: 5,
  kubernetesVersion: "1.36.3",
  utsNamespaces: true,
  socketRoot: "/s",
};

describe("what a control plane was started with", () => {
  it("asking for the same again, or for nothing, is harmless", () => {
    refuseOtherChoices(stateLayout("/state"), {}, settings);
    refuseOtherChoices(
      stateLayout("/state"),
      { hosts: 3, apiServerPorts: [1, 2, 3], apiServerArguments: [] },
      settings,
    );
  });

  it("asking for something else is refused, with both values", () => {
    assert.throws(
      () => refuseOtherChoices(stateLayout("/state"), { hosts: 2 }, settings),
      /\/state has hosts 3, not 2/,
    );
    assert.throws(
      () => refuseOtherChoices(stateLayout("/state"), { apiServerPorts: [1, 2, 9] }, settings),
      /apiServerPorts/,
    );
  });

  it("choices that can't be carried out are refused before anything is done", () => {
    assert.throws(() => checkChoices({ hosts: 0 }), /hosts is 0/);
    assert.throws(() => checkChoices({ hosts: 1.5 }), /hosts is 1\.5/);
    assert.throws(() => checkChoices({ staggerSeconds: -1 }), /staggerSeconds/);
    assert.throws(() => checkChoices({ requestTimeoutSeconds: 0 }), /requestTimeoutSeconds/);
    assert.throws(() => checkChoices({ hosts: 2, apiServerPorts: [6443] }), /apiServerPorts is 6443/);
    assert.throws(() => checkChoices({ etcdPort: 70_000 }), /port is 70000/);
    checkChoices({ hosts: 1, apiServerPorts: [6443], etcdPort: 2379 });
  });
});
