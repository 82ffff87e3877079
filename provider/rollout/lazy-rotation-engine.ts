/** The rotation engine, loaded when a rollout first needs it: the provider answers Pulumi's first question without it. */
import type * as openClusterModule from "./open-cluster";
import type { RotationEngine } from "./rotation-engine";
import type * as rotationOnPortsModule from "./rotation-on-ports";

export function createLazyRotationEngine(): RotationEngine {
  let loaded: RotationEngine | undefined;
  const engine = (): RotationEngine => {
    loaded ??= load();
    return loaded;
  };
  return {
    survey: (...request) => engine().survey(...request),
    run: (...request) => engine().run(...request),
  };
}

/* eslint-disable @typescript-eslint/no-require-imports -- imports at the top would be paid for by every start */
function load(): RotationEngine {
  const { createRotationEngine } = require("./rotation-on-ports") as typeof rotationOnPortsModule;
  const { openCluster } = require("./open-cluster") as typeof openClusterModule;
  return createRotationEngine(openCluster);
}
