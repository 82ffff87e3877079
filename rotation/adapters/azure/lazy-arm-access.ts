/** As lazy-clients.ts, for Azure Resource Manager. */

import type * as armAccessModule from "./arm-access";
import type { ArmAccess } from "./arm-access";
import type { Environment } from "./azure-cloud";

/** Gives the same access every time. */
export function lazyArmAccess(environment: Environment): () => ArmAccess {
  let access: ArmAccess | undefined;
  return () => {
    access ??= load(environment);
    return access;
  };
}

function load(environment: Environment): ArmAccess {
  // eslint-disable-next-line @typescript-eslint/no-require-imports -- an import at the top would be paid for by every start
  const { createArmAccess } = require("./arm-access") as typeof armAccessModule;
  return createArmAccess(environment);
}
