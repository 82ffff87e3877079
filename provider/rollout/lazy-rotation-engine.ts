/** The rotation engine, loaded when a rollout first needs it: the provider answers Pulumi's first question without it. */
import type * as kopsEngineModule from "./kops-engine";
import type * as openClusterModule from "./open-cluster";
import type { Platform } from "./platform";
import type { RotationEngine } from "./rotation-engine";
import type * as rotationOnPortsModule from "./rotation-on-ports";

export function createLazyRotationEngine(): RotationEngine {
  const engines: Partial<Record<"hosts" | "kops", RotationEngine>> = {};
  const engine = ({ kind }: Platform): RotationEngine =>
    kind === "kops" ? (engines.kops ??= loadKops()) : (engines.hosts ??= load());
  return {
    survey: (platform, ...request) => engine(platform).survey(platform, ...request),
    run: (platform, ...request) => engine(platform).run(platform, ...request),
  };
}

/* eslint-disable @typescript-eslint/no-require-imports -- imports at the top would be paid for by every start */
function load(): RotationEngine {
  const { createRotationEngine } = require("./rotation-on-ports") as typeof rotationOnPortsModule;
  const { openCluster } = require("./open-cluster") as typeof openClusterModule;
  return createRotationEngine(openCluster);
}

function loadKops(): RotationEngine {
  const { createKopsEngine } = require("./kops-engine") as typeof kopsEngineModule;
  return createKopsEngine();
}
