/** The engine for clusters of AKS, loaded when a resource first needs it: the provider answers Pulumi's first question without it. */
import type * as aksEngineModule from "../../rotation/adapters/aks/aks-engine";
import type { AksEngine } from "../../rotation/adapters/aks/aks-engine";
import type { Environment } from "../../rotation/adapters/azure/azure-cloud";
import { lazyArmAccess } from "../../rotation/adapters/azure/lazy-arm-access";

/** Gives the same engine every time. */
export function lazyAksEngine(environment: Environment): () => AksEngine {
  let engine: AksEngine | undefined;
  return () => {
    engine ??= load(environment);
    return engine;
  };
}

function load(environment: Environment): AksEngine {
  // eslint-disable-next-line @typescript-eslint/no-require-imports -- an import at the top would be paid for by every start
  const { createAksEngine } = require("../../rotation/adapters/aks/aks-engine") as typeof aksEngineModule;
  return createAksEngine(lazyArmAccess(environment));
}
